/// The target of an image.
public enum StreamTarget: Sendable, Equatable {
    /// The smallest disk of this host that fits, meets all of these hints, and has no obstacles.
    case smallestDisk(matching: [DiskHint])
    /// A block device or an existing regular file.
    case path(String)

    /// Whether it identifies one disk or file, whatever other disks there are.
    var isNamed: Bool {
        switch self {
        case .smallestDisk(let hints): hints.contains(where: \.namesDisk)
        case .path: true
        }
    }

    /// The smallest disk of this host that fits and has no obstacles.
    package static var smallestDisk: StreamTarget { .smallestDisk(matching: []) }
}

/// Whether a run looks on its disk for what the image's content index lists.
public enum ReuseMode: String, Sendable, CaseIterable {
    /// If a few frames of an image, tried first, are there.
    case auto
    case always
    case never
}

/// Options of a run. The source has its own.
public struct StreamOptions: Sendable {
    /// The expected hash of the image's metadata.
    public var hash: ExpectedHash = .ignored
    /// Stops after the plan: writes nothing.
    public var isDryRun = false
    /// How the disk is written and read.
    package var writeEngine: WriteEngine = .automatic
    /// Whether what is already on the disk is neither fetched nor written. Has no effect for images without a content index, and
    /// for sources without ranges.
    public var reuse = ReuseMode.auto
    /// Limit on the memory of a run, in bytes; if it is tight, fewer lanes run. Nil: three quarters of the host's available
    /// memory. Control groups and the process's own limits apply in any case (`MemoryLimit`).
    public var memoryLimitBytes: UInt64?
    /// Maximum number of parallel decoders; nil: the number of processors this process may use.
    package var lanesMax: Int?
    /// Disks, partitions and files with content that the image has, too: found there, it is not fetched. They are only read. One
    /// that the run writes is refused. Has no effect for images without a content index, and for sources without ranges.
    public var seeds: [String] = []
    /// Reads everything back from the disk and compares it with checksums, before the partition tables are written.
    public var readsBack = false
    /// The interval between `.progress` events while bytes move.
    package var progressIntervalSeconds = 0.2
    /// False writes all zeros as data, to measure what zeroing by the device saves.
    package var zerosByDevice = true

    /// The defaults.
    public init() {}
}
