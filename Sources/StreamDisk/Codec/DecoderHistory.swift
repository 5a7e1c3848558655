/// What a frame's decoder has put where in its ring, and how far its next block may look back: no further than the frame's window
/// (RFC 8878 §3.1.1.1.2), counted from the block's first byte.
///
/// libzstd looks back as far as it knows of bytes: all of this lap and of the one before. Parts of that one are overwritten by
/// then, so an image whose matches reach past their window would decode to one thing on one machine, to another on the next, and
/// to an error on a third.
struct DecoderHistory: Equatable {
    /// Nil until the frame's header was read: nothing is decoded before.
    var windowBytes: Int?
    /// Offsets in the ring: what was decoded in the lap before, and in this one, to its very end.
    private var before = 0..<0
    private var current: Range<Int>?

    /// The decoder goes on at this place: behind what it decoded last, or after a jump.
    mutating func goOn(at output: Int) {
        guard let current else {
            self.current = output..<output
            return
        }
        guard current.upperBound != output else { return }
        before = current
        self.current = output..<output
    }

    mutating func add(_ count: Int) {
        if let current { self.current = current.lowerBound..<current.upperBound + count }
    }

    /// What the next block may look back on, where the decoder knows of more: the ends of the lap before and of this one. The first
    /// is empty where this lap alone has more than a window, and then there is a byte of it before the second.
    var bounded: (before: Range<Int>, current: Range<Int>)? {
        guard let windowBytes, let current, before.count + current.count > windowBytes else { return nil }
        guard current.count <= windowBytes else {
            return (before.upperBound..<before.upperBound, current.upperBound - windowBytes..<current.upperBound)
        }
        let left = max(windowBytes - current.count, 1)
        return (before.upperBound - left..<before.upperBound, current)
    }
}
