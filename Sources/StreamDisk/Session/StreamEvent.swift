/// An event of a session, delivered on the thread that called its entry.
///
/// Later releases may add cases: use a `default` when switching over it.
public enum StreamEvent: Sendable {
    /// The plan, before the first write.
    case plan(StreamPlan)
    /// A phase begins.
    case phase(StreamPhase)
    /// Several times a second while bytes move or a flush lasts.
    case progress(StreamProgress)
    /// A fault of the source from which the run has recovered so far.
    case retry(SourceNote)
    /// A warning. The run continues.
    case warning(StreamWarning)
}

/// The progress of a run, in bytes since its start unless stated otherwise.
public struct StreamProgress: Sendable {
    /// The current phase.
    public let phase: StreamPhase
    /// Time since the call.
    public let elapsedSeconds: Double
    /// Compressed bytes received from the source.
    public let fetchedBytes: UInt64
    /// Bytes produced by the decoders.
    public let decodedBytes: UInt64
    /// Bytes that the disk has written.
    public let writtenBytes: UInt64
    /// Bytes that the device zeroed without writing.
    public let zeroedBytes: UInt64
    /// Bytes read from the disk and compared.
    public let verifiedBytes: UInt64
    /// Total of bytes to compare; 0 if none are.
    public let verifiedBytesTotal: UInt64
    /// Total of compressed bytes to fetch: less what was found on the disk so far.
    public let compressedBytesTotal: UInt64
    /// Total of decoded bytes.
    public let decodedBytesTotal: UInt64
    /// Numbers of the partitions whose images are being fetched, in the order in which they started.
    package let partitions: [Int]
    /// Bytes fetched that wait for a decoder.
    package let waitingBytes: Int
    /// Bytes submitted to the disk and not yet completed.
    public let bytesInFlight: Int
    /// Bytes of the images that were found on the disk: neither fetched nor written.
    public var reusedBytes: UInt64 = 0
}

extension StreamProgress {
    /// Of work that reads so much of a whole, and writes what it makes of it: for estimates of its end.
    package init(readBytes: UInt64, totalBytes: UInt64, writtenBytes: UInt64, elapsedSeconds: Double) {
        self.init(
            phase: .write, elapsedSeconds: elapsedSeconds, fetchedBytes: readBytes, decodedBytes: readBytes,
            writtenBytes: writtenBytes, zeroedBytes: 0, verifiedBytes: 0, verifiedBytesTotal: 0, compressedBytesTotal: totalBytes,
            decodedBytesTotal: totalBytes, partitions: [], waitingBytes: 0, bytesInFlight: 0)
    }
}
