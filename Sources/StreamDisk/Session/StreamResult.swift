/// The result of a successful run.
public struct StreamResult: Sendable {
    /// The plan.
    public let plan: StreamPlan
    /// False after a dry run, a comparison, or if the caller did not approve the plan: nothing was written.
    public let isWritten: Bool
    /// Duration of the whole call.
    public let elapsedSeconds: Double
    /// Compressed bytes received from the source.
    package let fetchedBytes: UInt64
    /// Bytes produced by the decoders.
    package let decodedBytes: UInt64
    /// Bytes that the disk has written.
    public let writtenBytes: UInt64
    /// Bytes that the device zeroed without writing.
    public let zeroedBytes: UInt64
    /// Bytes of the images that were found on the disk: neither fetched nor written.
    public let reusedBytes: UInt64
    /// Bytes read from the disk and compared, without partition tables.
    public let verifiedBytes: UInt64
    /// Whether a hash was given and the metadata matched it.
    package var isHashCompared: Bool { plan.isHashCompared }
    /// Peak resident set size of this process, in bytes.
    package let peakMemoryBytes: UInt64
    /// Where each stage of the write phase spent its time.
    package let stages: [StageReport]
}
