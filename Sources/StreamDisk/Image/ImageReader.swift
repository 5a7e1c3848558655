import CosiFormat

/// The result of requesting part of a tar's headers.
enum TarPiece {
    case bytes([UInt8])
    /// The file ends there, before the part does.
    case end(at: UInt64)
}

/// Small reads of an image: from the head in memory, else from the source.
struct ImageReader {
    /// Enough for marker, metadata and GPT of most images, in one request.
    static let headBytes = 1 << 20

    let source: any ByteSource
    let head: ImageHead
    let observer: SourceObserver
    /// Bytes read in addition to the head.
    private var known: [KnownBytes] = []

    init(source: any ByteSource, head: ImageHead, observer: SourceObserver) {
        (self.source, self.head, self.observer) = (source, head, observer)
    }

    var sizeBytes: UInt64? { head.sizeBytes }
    var isSequential: Bool { head.isSequential }

    /// The bytes of the tar's headers in `range`, or the offset at which the file ends before it.
    func headerBytes(_ range: Range<UInt64>) throws(StreamFault) -> TarPiece {
        if let sizeBytes, range.upperBound > sizeBytes { return .end(at: sizeBytes) }
        do throws(StreamFault) {
            return .bytes(try bytes(range.lowerBound, count: range.upperBound - range.lowerBound))
        } catch {
            guard case .source(let fault) = error, fault.isEnd, let end = fault.offset else { throw error }
            return .end(at: end)
        }
    }

    /// `count` bytes from `offset`, at most the 16 MiB that metadata may have.
    func bytes(_ offset: UInt64, count: UInt64) throws(StreamFault) -> [UInt8] {
        precondition(count <= UInt64(CosiMetadata.inputBytesMax))
        let (end, overflow) = offset.addingReportingOverflow(count)
        if overflow { throw .image(.tar, "tar archive", "places data past any file's end") }
        if let sizeBytes, end > sizeBytes {
            throw .image(
                .truncated, "tar archive",
                "is truncated: bytes \(offset) to \(end) are needed, the file ends at byte \(sizeBytes)")
        }
        if let bytes = knownBytes(offset..<end) { return bytes }
        let collector = CollectingSink(bytesMax: Int(count))
        do throws(SourceError) {
            try source.read(offset..<end, into: collector, observer: observer)
        } catch {
            throw StreamFault(error)
        }
        return collector.bytes
    }

    private func knownBytes(_ range: Range<UInt64>) -> [UInt8]? {
        if range.upperBound <= UInt64(head.bytes.count) {
            return Array(head.bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        }
        for piece in known {
            if let bytes = piece.bytes(of: range) { return bytes }
        }
        return nil
    }

    // MARK: Reading ahead

    /// Whether reading more than `range` saves round trips: it is not in memory yet, and the source can read ahead.
    func shouldReadAhead(_ range: Range<UInt64>) -> Bool {
        guard !isSequential, source is any ReadsAhead, let sizeBytes, range.upperBound <= sizeBytes else { return false }
        return knownBytes(range) == nil
    }

    /// Reads the first of `ranges`, which are ascending and inside the file, and as many of the others as possible at the same
    /// time. Returns whether all were read. Forgets earlier bytes that lie before them.
    mutating func readAhead(_ ranges: [Range<UInt64>]) throws(StreamFault) -> Bool {
        guard let source = source as? any ReadsAhead, let first = ranges.first else { return false }
        let collector = CollectingSink(bytesMax: first.count)
        let others: [KnownBytes]
        do throws(SourceError) {
            others = try source.read(first, into: collector, ahead: Array(ranges.dropFirst()), observer: observer)
        } catch {
            throw StreamFault(error)
        }
        known.removeAll { $0.range.upperBound <= first.lowerBound }
        known += [KnownBytes(offset: first.lowerBound, bytes: collector.bytes)] + others
        return others.count == ranges.count - 1
    }
}

/// Runs a format check and converts its error.
func valid<Value>(_ check: () throws(FormatError) -> Value) throws(StreamFault) -> Value {
    do throws(FormatError) { return try check() } catch { throw .image(error) }
}
