/// What a session tells on its way, on the thread that called its entry.
///
/// Later releases add cases: switch over it with a `default`.
public enum StreamEvent: Sendable {
    /// What will be done, before the first write.
    case plan(StreamPlan)
    /// A step begins.
    case phase(StreamPhase)
    /// Several times a second while bytes move or a flush lasts.
    case progress(StreamProgress)
    /// A fault of the source that was recovered from so far.
    case retry(SourceNote)
    /// Worth knowing; it stops nothing.
    case warning(StreamWarning)
}

/// How far a run is. Bytes since its beginning.
public struct StreamProgress: Sendable {
    /// The step under way.
    public let phase: StreamPhase
    /// Since the call.
    public let elapsedSeconds: Double
    /// Compressed bytes that the source brought.
    public let fetchedBytes: UInt64
    /// Bytes that came out of the decoders.
    public let decodedBytes: UInt64
    /// Bytes the disk has taken.
    public let writtenBytes: UInt64
    /// Zeroed by the device instead of written.
    public let zeroedBytes: UInt64
    /// Read from the disk and compared, and how many there are in all; 0 where none are.
    public let verifiedBytes: UInt64
    /// How many are to be compared; 0 where none are.
    public let verifiedBytesTotal: UInt64
    /// How many compressed bytes there are to fetch.
    public let compressedBytesTotal: UInt64
    /// How many compressed bytes there are to fetch.
    public let decodedBytesTotal: UInt64
    /// The partitions whose images are being fetched, by their numbers, the one that began first before the others.
    public let partitions: [Int]
    /// Fetched and waiting for a decoder, and being written.
    public let waitingBytes: Int
    /// Given to the disk and not yet completed.
    public let bytesInFlight: Int
}
