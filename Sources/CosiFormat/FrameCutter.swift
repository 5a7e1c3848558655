/// Decides where frames end, by the content alone: equal content makes equal frames wherever it lies, as long as it moves by
/// whole blocks. docs/CONTENT_INDEX.md has the rule; whoever cuts by it gives the blocks of a partition in order.
///
/// Pure: it sees no bytes, only the XXH3 (64 bits, seed 0) of each block, or that the block is zero.
package struct FrameCutter: Sendable {
    package enum Frame: Sendable, Equatable {
        case data(bytes: Int)
        /// Nothing but zeros.
        case zeros(bytes: UInt64)
    }

    package static let blockBytes = 4096
    /// Of this rule; another one gets another number.
    package static let ruleNumber = 1
    /// Of a frame of zeros.
    package static let zeroBytesMax: UInt64 = 64 << 20
    package static let meanRange = (64 << 10)...(16 << 20)

    package let meanBytes: Int
    /// A frame of data is shorter only before a stretch of zeros, or at the end.
    package let leastBytes: Int
    package let mostBytes: Int
    /// Zeros from so many on are frames of their own.
    package var zeroStretchBytes: Int { meanBytes }
    /// One block in so many ends a frame: behind the least length, that makes the mean.
    private let divisor: UInt64

    /// Bytes of the frame of data so far.
    private var dataBytes = 0
    /// Zeros behind them that are part of it, or a stretch.
    private var zeroBytes: UInt64 = 0
    /// Whether the zeros so far are frames of their own: then nothing before the next block of data is asked for again.
    package private(set) var isInZeros = false

    package static func isMean(_ bytes: Int) -> Bool { meanRange.contains(bytes) && bytes.nonzeroBitCount == 1 }

    /// - Parameter meanBytes: a power of two in ``meanRange``.
    package init(meanBytes: Int) {
        precondition(Self.isMean(meanBytes))
        self.meanBytes = meanBytes
        leastBytes = meanBytes / 4
        mostBytes = meanBytes * 4
        divisor = UInt64((meanBytes - leastBytes) / Self.blockBytes)
    }

    /// The next block, which is not all zeros.
    ///
    /// - Parameter bytes: fewer than a block only at the end of the image.
    package mutating func addData<Failure: Error>(
        hash: UInt64, bytes: Int = blockBytes, _ emit: (Frame) throws(Failure) -> Void
    ) throws(Failure) {
        if isInZeros {
            try emit(.zeros(bytes: zeroBytes))
            zeroBytes = 0
            isInZeros = false
        } else {
            try takeZerosAsData(emit)
        }
        dataBytes += bytes
        if dataBytes >= mostBytes || dataBytes >= leastBytes && hash % divisor == 0 {
            try emit(.data(bytes: dataBytes))
            dataBytes = 0
        }
    }

    /// Zeros: whole blocks, except at the end of the image.
    package mutating func addZeros<Failure: Error>(
        _ bytes: UInt64, _ emit: (Frame) throws(Failure) -> Void
    ) throws(Failure) {
        zeroBytes += bytes
        if !isInZeros {
            guard zeroBytes >= zeroStretchBytes else { return }
            isInZeros = true
            if dataBytes > 0 { try emit(.data(bytes: dataBytes)) }
            dataBytes = 0
        }
        while zeroBytes > Self.zeroBytesMax {
            try emit(.zeros(bytes: Self.zeroBytesMax))
            zeroBytes -= Self.zeroBytesMax
        }
    }

    /// The image ends.
    package mutating func finish<Failure: Error>(_ emit: (Frame) throws(Failure) -> Void) throws(Failure) {
        if isInZeros || dataBytes == 0 {
            if zeroBytes > 0 { try emit(.zeros(bytes: zeroBytes)) }
        } else {
            try takeZerosAsData(emit)
            if dataBytes > 0 { try emit(.data(bytes: dataBytes)) }
        }
        self = FrameCutter(meanBytes: meanBytes)
    }

    /// Too few for a stretch: fewer than a frame can have.
    private mutating func takeZerosAsData<Failure: Error>(_ emit: (Frame) throws(Failure) -> Void) throws(Failure) {
        dataBytes += Int(zeroBytes)
        zeroBytes = 0
        if dataBytes >= mostBytes {
            try emit(.data(bytes: mostBytes))
            dataBytes -= mostBytes
        }
    }

    /// The most frames that an image can have.
    ///
    /// - Parameters:
    ///   - runs: what of it is not known to be zero, divided by at least `zeroStretchBytes`.
    ///   - sizeBytes: of the image.
    package func frameCountMax(runs: [Range<UInt64>], sizeBytes: UInt64) -> Int {
        // Zeros inside a run take at least as many bytes as the two frames more that they make could hold.
        let ofData = runs.reduce(0) { $0 + Int(($1.upperBound - $1.lowerBound) / UInt64(leastBytes)) + 1 }
        return ofData + runs.count + 1 + Int(sizeBytes / Self.zeroBytesMax)
    }
}
