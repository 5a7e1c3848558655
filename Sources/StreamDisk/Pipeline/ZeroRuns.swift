/// Divides decoded bytes into runs of zeros that are worth zeroing by the device, and data.
///
/// A run of zeros shorter than `runBytesMin` stays with the data around it: a request for it would cost more than it saves. A
/// range that is all zeros is one run, whatever its length.
struct ZeroRuns: Sequence {
    struct Run: Equatable {
        let range: Range<Int>
        let isZero: Bool
    }

    static let runBytesMin = 64 << 10

    private let buffer: DirectBuffer
    private let end: Int
    private let grainBytes: Int
    private let start: Int

    /// - Parameter grainBytes: runs start and end at multiples of this from `start`. It is a multiple of the device's block
    ///   size.
    init(in buffer: DirectBuffer, from start: Int, to end: Int, grainBytes: Int) {
        self.buffer = buffer
        self.start = start
        self.end = end
        self.grainBytes = grainBytes
    }

    func makeIterator() -> Iterator { Iterator(runs: self) }

    struct Iterator: IteratorProtocol {
        private let runs: ZeroRuns
        private var position: Int
        /// A run of zeros found after the data that was just returned.
        private var found: Run?

        fileprivate init(runs: ZeroRuns) {
            self.runs = runs
            position = runs.start
        }

        mutating func next() -> Run? {
            if let run = found {
                found = nil
                return run
            }
            guard position < runs.end else { return nil }
            let start = position
            while position < runs.end {
                let zeroStart = position
                while position < runs.end, runs.isZero(position) { position = runs.grainEnd(position) }
                let isWorth =
                    position - zeroStart >= ZeroRuns.runBytesMin
                    || (zeroStart == runs.start && position == runs.end)
                if isWorth {
                    let zeros = Run(range: zeroStart..<position, isZero: true)
                    if zeroStart == start { return zeros }
                    found = zeros
                    return Run(range: start..<zeroStart, isZero: false)
                }
                if position < runs.end { position = runs.grainEnd(position) }
            }
            return Run(range: start..<runs.end, isZero: false)
        }
    }

    private func grainEnd(_ position: Int) -> Int { Swift.min(position + grainBytes, end) }

    private func isZero(_ position: Int) -> Bool {
        buffer.isZero(position, count: grainEnd(position) - position)
    }
}
