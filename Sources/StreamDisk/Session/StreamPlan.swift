import CosiFormat

/// What a run is about to do. Shown to the user for approval and reported as the `plan` event.
public struct StreamPlan: Sendable {
    /// A partition of the image's table.
    public struct Partition: Sendable {
        /// GPT entry number, from 1.
        public let number: Int
        /// Its name in the GPT.
        public let name: String
        /// Offset on the disk in bytes.
        package let offsetBytes: UInt64
        /// Size in bytes.
        package let sizeBytes: UInt64
        /// The image's path in the archive; nil if the partition has none and stays untouched.
        public let imagePath: String?
        /// Compressed size of its image in bytes; 0 without one.
        package let compressedBytes: UInt64
        /// Decoded size of its image in bytes; 0 without one.
        package let decodedBytes: UInt64
        /// Mount point of its file system, from the metadata; nil if not stated.
        public let mountPoint: String?
        /// Type of its file system, from the metadata; nil if not stated.
        package let fsType: String?
    }

    /// The target of one partition's image.
    package struct Target: Sendable {
        /// The path as the caller gave it.
        package let path: String
        /// The path without symbolic links.
        package let resolvedPath: String
        package let sizeBytes: UInt64
        /// Its logical block size; for a regular file, that of the image.
        package let blockBytes: Int
        /// What sysfs reports about it; nil for a regular file.
        package let info: DiskInfo?
        /// What is on it now; nil if unknown.
        package let contents: DiskContents?

        /// Describes the partition table at its beginning, which the image overwrites; nil if none was found.
        package var overwrittenTable: String? {
            guard let contents, let type = contents.tableType, contents.partitionCount > 0 else { return nil }
            return "a \(type) partition table"
        }
    }

    /// A partition and its own target.
    package struct Region: Sendable {
        package let partition: Partition
        package let target: Target
    }

    /// The source's name, without credentials.
    public let imageName: String
    /// SHA-384 of `metadata.json`, 48 bytes.
    package let metadataSHA384: [UInt8]
    /// The hash as text: `sha384:` and 96 hexadecimal digits.
    public var hashText: String { "sha384:" + metadataSHA384.hexadecimal }
    /// Whether it was compared with a hash from the user.
    package let isHashCompared: Bool
    /// The architecture of the image, from its metadata.
    public let architecture: String
    /// The minimum disk size for the image, in bytes.
    package let imageDiskBytes: UInt64

    /// The regions of a run of ``streamRegions(from:to:options:cancellation:approve:onEvent:)``, in the order given; otherwise
    /// empty. With several regions, ``diskPath`` lists all targets, and ``diskBytes`` is their sum.
    package let regions: [Region]

    /// The disk's path as the caller gave it.
    public let diskPath: String
    /// The disk's path without symbolic links.
    public let resolvedDiskPath: String
    /// The disk's size in bytes.
    package let diskBytes: UInt64
    /// The disk's logical block size in bytes.
    package let blockBytes: Int
    /// What sysfs reports about it; nil for a regular file.
    public let diskInfo: DiskInfo?
    /// Whether the target is a regular file.
    package var isRegularFile: Bool { diskInfo == nil }
    /// What is on the disk now and will be lost; nil if unknown, or if nothing will be written.
    package let contents: DiskContents?
    /// The hints that the disk was selected by; empty without.
    package let hints: [DiskHint]
    /// If no disk was named: all disks of the host, each with the reasons against it. Otherwise empty.
    package let consideredDisks: [ConsideredDisk]

    /// In disk order.
    public let partitions: [Partition]
    /// Compressed size of all images to be written, in bytes.
    package let compressedBytes: UInt64
    /// Decoded size of all images to be written, in bytes.
    package let decodedBytes: UInt64
    /// `io_uring` or `pwrite`.
    package let engineName: String
    /// Everything the user should know before approving.
    public let warnings: [StreamWarning]
}

extension StreamPlan {
    init(
        image contents: ImageContents, isHashCompared: Bool, disk: borrowing TargetDisk, contents diskContents: DiskContents?,
        engineName: String, notes: [StreamWarning]
    ) {
        imageName = contents.name
        metadataSHA384 = contents.metadataSHA384
        self.isHashCompared = isHashCompared
        architecture = contents.metadata.osArch.description
        imageDiskBytes = contents.metadata.disk.sizeBytes
        diskPath = disk.path
        resolvedDiskPath = disk.resolvedPath
        diskBytes = disk.sizeBytes
        blockBytes = disk.blockBytes
        diskInfo = disk.info
        self.contents = diskContents
        hints = disk.hints
        consideredDisks = disk.considered
        regions = []
        partitions = contents.rows.map { Partition($0) }
        compressedBytes = contents.compressedBytes
        decodedBytes = contents.decodedBytes
        self.engineName = engineName
        warnings = contents.warnings.map { .image($0) } + notes
    }
}

extension StreamPlan {
    init(
        image contents: ImageContents, isHashCompared: Bool, onto targets: [OpenRegion], engineName: String,
        notes: [StreamWarning]
    ) {
        imageName = contents.name
        metadataSHA384 = contents.metadataSHA384
        self.isHashCompared = isHashCompared
        architecture = contents.metadata.osArch.description
        imageDiskBytes = contents.metadata.disk.sizeBytes
        regions = targets.map { Region(partition: Partition($0.row), target: $0.target) }
        let single = regions.count == 1 ? regions.first?.target : nil
        diskPath = regions.map(\.target.path).joined(separator: ", ")
        resolvedDiskPath = regions.map(\.target.resolvedPath).joined(separator: ", ")
        diskBytes = regions.reduce(0) { $0.addingReportingOverflow($1.target.sizeBytes).partialValue }
        blockBytes = contents.metadata.disk.lbaSize
        diskInfo = single?.info
        self.contents = single?.contents
        hints = []
        consideredDisks = []
        partitions = regions.map(\.partition).sorted { $0.offsetBytes < $1.offsetBytes }
        compressedBytes = partitions.reduce(0) { $0 + $1.compressedBytes }
        decodedBytes = partitions.reduce(0) { $0 + $1.decodedBytes }
        self.engineName = engineName
        warnings = contents.warnings.map { .image($0) } + notes
    }
}

extension StreamPlan.Target {
    /// Reads what is on the target, too.
    init(_ disk: borrowing TargetDisk) {
        path = disk.path
        resolvedPath = disk.resolvedPath
        sizeBytes = disk.sizeBytes
        blockBytes = disk.blockBytes
        info = disk.info
        contents = disk.contents()
    }
}

extension StreamPlan.Partition {
    init(_ row: ImageContents.Row) {
        number = row.partition.number
        name = row.partition.name
        offsetBytes = row.partition.offsetBytes
        sizeBytes = row.partition.sizeBytes
        imagePath = row.region?.image.path
        compressedBytes = row.region?.image.compressedSizeBytes ?? 0
        decodedBytes = row.region?.image.uncompressedSizeBytes ?? 0
        mountPoint = row.filesystem?.mountPoint
        fsType = row.filesystem?.fsType
    }
}

extension StreamFault {
    /// A mismatch with the partition of the plan that contains it; any other fault as it is.
    func located(in plan: StreamPlan?) -> StreamFault {
        guard let plan, case .mismatch(let mismatch) = self else { return self }
        return .mismatch(mismatch.located(in: plan))
    }
}

extension DiskMismatch {
    fileprivate func located(in plan: StreamPlan) -> DiskMismatch {
        let region = plan.regions.first { $0.target.path == path }?.partition
        let partition = region ?? plan.partitions.first { offset >= $0.offsetBytes && offset - $0.offsetBytes < $0.sizeBytes }
        guard area == nil, let partition else { return self }
        return DiskMismatch(
            expectation, path: path, area: .partition(number: partition.number, name: partition.name),
            range: offset..<offset + UInt64(lengthBytes), count: count)
    }
}
