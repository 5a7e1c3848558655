/// Bytes of an image that were read before they were needed.
struct KnownBytes: Sendable {
    let offset: UInt64
    let bytes: [UInt8]

    var range: Range<UInt64> { offset..<offset + UInt64(bytes.count) }

    /// The bytes of `wanted`; nil if some are missing.
    func bytes(of wanted: Range<UInt64>) -> [UInt8]? {
        guard wanted.lowerBound >= offset, wanted.upperBound <= range.upperBound else { return nil }
        return Array(bytes[Int(wanted.lowerBound - offset)..<Int(wanted.upperBound - offset)])
    }
}

/// A source whose reads each cost a round trip, and which can perform several at once.
protocol ReadsAhead: ByteSource {
    /// Reads `range` as `read` does, and at the same time whichever of `others` it can: small ranges that are useful but
    /// optional. Those that fail, or take much longer than `range`, are left out and not retried.
    ///
    /// Not allowed when `ImageHead.isSequential`.
    func read(
        _ range: Range<UInt64>, into sink: any ByteSink, ahead others: [Range<UInt64>], observer: SourceObserver
    ) throws(SourceError) -> [KnownBytes]
}
