/// Where an image goes.
public enum StreamTarget: Sendable, Equatable {
    /// The smallest disk of this host that fits and that nothing stands against.
    case smallestDisk
    /// A block device or an existing regular file.
    case path(String)
}

/// How a run is done; the source has options of its own.
public struct StreamOptions: Sendable {
    public var hash: ExpectedHash = .ignored
    /// Everything up to the plan, then nothing: not one byte is written.
    public var isDryRun = false
    public var writeEngine: WriteEngine = .automatic
    /// What a run may take of memory, in bytes; fewer lanes run where it is tight. Nil: three quarters of what the host has
    /// available. In any case no more than what control groups and the process's own limits leave (`MemoryLimit`).
    public var memoryLimitBytes: UInt64?
    /// Decoders that work side by side at most; nil: as many as there are processors for this process.
    public var lanesMax: Int?
    /// Everything is read back from the disk, and compared with checksums kept while writing, before the tables are written.
    public var readsBack = false
    /// How often `.progress` comes while bytes move.
    package var progressIntervalSeconds = 0.2
    /// False: zeros are written like everything else, to measure what the device's own way brings.
    package var zerosByDevice = true

    public init() {}
}

/// What a run tells on its way. Called on the thread that called `streamImage`.
public enum StreamEvent: Sendable {
    case plan(StreamPlan)
    case phase(StreamPhase)
    /// Several times a second while bytes move or a flush lasts.
    case progress(StreamProgress)
    /// A fault of the source that was survived so far.
    case retry(SourceNote)
    case warning(String)
}

/// How far a run is. Bytes since its beginning.
public struct StreamProgress: Sendable {
    public let phase: StreamPhase
    public let elapsedSeconds: Double
    public let fetchedBytes: UInt64
    public let decodedBytes: UInt64
    public let writtenBytes: UInt64
    /// Zeroed by the device instead of written.
    public let zeroedBytes: UInt64
    /// Read from the disk and compared, and how many there are in all; 0 where none are.
    public let verifiedBytes: UInt64
    public let verifiedBytesTotal: UInt64
    public let compressedBytesTotal: UInt64
    public let uncompressedBytesTotal: UInt64
    /// The partitions whose images are being fetched, by their numbers, the one that began first before the others.
    public let partitions: [Int]
    /// Fetched and waiting for a decoder, and being written.
    public let waitingBytes: Int
    public let bytesInFlight: Int
}

/// What a run that succeeded has done.
public struct StreamResult: Sendable {
    public let plan: StreamPlan
    /// False after a dry run, a comparison, or when the caller did not approve of the plan: nothing was written then.
    public let isWritten: Bool
    public let elapsedSeconds: Double
    public let fetchedBytes: UInt64
    public let decodedBytes: UInt64
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
