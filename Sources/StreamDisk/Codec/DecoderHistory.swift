/// Tracks what a frame's decoder has put where in its ring, and how far back the next block may refer: to the frame's window
/// (RFC 8878 §3.1.1.1.2), counted from the first byte of the block.
///
/// libzstd itself accepts references to all bytes it knows of: this lap and the one before, parts of which are overwritten by
/// then. So an image with matches beyond its window would decode to different bytes on different machines, or fail on some.
/// to an error on a third.
struct DecoderHistory: Equatable {
    /// Nil until the frame's header was read; nothing is decoded before.
    var windowBytes: Int?
    /// Ring offsets: the range decoded in the previous lap, and the range decoded in this one.
    private var before = 0..<0
    private var current: Range<Int>?

    /// The decoder continues at this offset: directly after its last output, or after a jump.
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

    /// The ranges that the next block may refer to, if the decoder knows of more: the end of the previous lap and the end of
    /// this one. The first is empty if this lap alone holds more than a window; at least one byte of this lap then lies before
    /// the second.
    var bounded: (before: Range<Int>, current: Range<Int>)? {
        guard let windowBytes, let current, before.count + current.count > windowBytes else { return nil }
        guard current.count <= windowBytes else {
            return (before.upperBound..<before.upperBound, current.upperBound - windowBytes..<current.upperBound)
        }
        let left = max(windowBytes - current.count, 1)
        return (before.upperBound - left..<before.upperBound, current)
    }
}
