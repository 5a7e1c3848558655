/// What a run that succeeded has done.
public struct StreamResult: Sendable {
    /// What was planned.
    public let plan: StreamPlan
    /// False after a dry run, a comparison, or when the caller did not approve of the plan: nothing was written then.
    public let isWritten: Bool
    /// Of the whole call.
    public let elapsedSeconds: Double
    /// Compressed bytes that the source brought.
    public let fetchedBytes: UInt64
    /// Bytes that came out of the decoders.
    public let decodedBytes: UInt64
    /// Bytes the disk has taken.
    public let writtenBytes: UInt64
    /// Zeroed by the device instead of written.
    public let zeroedBytes: UInt64
    /// Read from the disk and compared, partition tables not counted.
    public let verifiedBytes: UInt64
    /// Whether the metadata's hash was given, and so compared.
    public var isHashCompared: Bool { plan.isHashCompared }
    /// The largest resident set of this process so far.
    public let peakMemoryBytes: UInt64
    /// Where the time of the write phase went, per stage.
    public let stages: [StageReport]
}
