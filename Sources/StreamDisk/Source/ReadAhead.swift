/// Bytes of an image that were read before anyone needed them.
struct KnownBytes: Sendable {
    let offset: UInt64
    let bytes: [UInt8]

    var range: Range<UInt64> { offset..<offset + UInt64(bytes.count) }

    /// Those of `wanted`, nil where not all of it is here.
    func bytes(of wanted: Range<UInt64>) -> [UInt8]? {
        guard wanted.lowerBound >= offset, wanted.upperBound <= range.upperBound else { return nil }
        return Array(bytes[Int(wanted.lowerBound - offset)..<Int(wanted.upperBound - offset)])
    }
}

/// A source whose every read costs a round trip, and that can have several under way at once.
protocol ReadsAhead: ImageSource {
    /// Reads `range` as `read` does, and meanwhile what it can of `others`: small ranges that are welcome, but not needed. What
    /// of them fails, or takes much longer than `range` did, is left out and not retried.
    ///
    /// Not to be called when `ImageHead.isSequential`.
    func read(
        _ range: Range<UInt64>, into sink: any ByteSink, ahead others: [Range<UInt64>], observer: SourceObserver
    ) throws(SourceError) -> [KnownBytes]
}
