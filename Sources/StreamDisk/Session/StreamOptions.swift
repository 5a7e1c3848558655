/// Where an image goes.
public enum StreamTarget: Sendable, Equatable {
    /// The smallest disk of this host that fits and that nothing stands against.
    case smallestDisk
    /// A block device or an existing regular file.
    case path(String)
}

/// How a run is done; the source has options of its own.
public struct StreamOptions: Sendable {
    /// What the image's metadata must hash to.
    public var hash: ExpectedHash = .ignored
    /// Everything up to the plan, then nothing: not one byte is written.
    public var isDryRun = false
    /// How the disk is written and read.
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

    /// The defaults.
    public init() {}
}
