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
        public let offsetBytes: UInt64
        /// Size in bytes.
        public let sizeBytes: UInt64
        /// The image's path in the archive; nil if the partition has none and stays untouched.
        public let imagePath: String?
        /// Compressed size of its image in bytes; 0 without one.
        public let compressedBytes: UInt64
        /// Decoded size of its image in bytes; 0 without one.
        public let decodedBytes: UInt64
        /// Mount point of its file system, from the metadata; nil if not stated.
        public let mountPoint: String?
        /// Type of its file system, from the metadata; nil if not stated.
        public let fsType: String?
    }

    /// What one partition's image goes onto.
    public struct Target: Sendable {
        /// As it was asked for.
        public let path: String
        /// Without symbolic links.
        public let resolvedPath: String
        public let sizeBytes: UInt64
        /// Its logical block size; of a regular file, the image's.
        public let blockBytes: Int
        /// What the host tells of it; nil for a regular file.
        public let info: DiskInfo?
        /// What is on it now; nil when that could not be told.
        package let contents: DiskContents?

        /// The partition table at its beginning, where the image goes, in words; nil where none was found.
        package var overwrittenTable: String? {
            guard let contents, let type = contents.tableType, contents.partitionCount > 0 else { return nil }
            return "a \(type) partition table"
        }
    }

    /// A partition that goes onto a target of its own.
    public struct Region: Sendable {
        public let partition: Partition
        public let target: Target
    }

    /// The source's name, without credentials.
    public let imageName: String
    /// SHA-384 of `metadata.json`, 48 bytes.
    public let metadataSHA384: [UInt8]
    /// The hash as text: `sha384:` and 96 hexadecimal digits.
    package var hashText: String { "sha384:" + metadataSHA384.hexadecimal }
    /// Whether it was compared with a hash from the user.
    public let isHashCompared: Bool
    /// The architecture of the image, from its metadata.
    public let architecture: String
    /// The minimum disk size for the image, in bytes.
    public let imageDiskBytes: UInt64

    /// What goes where in a run of ``streamRegions(from:to:options:cancellation:approve:onEvent:)``, in the order asked for; else
    /// empty. Of several regions ``diskPath`` names all targets, and ``diskBytes`` is their sum.
    public let regions: [Region]

    /// As it was asked for.
    public let diskPath: String
    /// The disk's path without symbolic links.
    public let resolvedDiskPath: String
    /// The disk's size in bytes.
    public let diskBytes: UInt64
    /// The disk's logical block size in bytes.
    public let blockBytes: Int
    /// What sysfs reports about it; nil for a regular file.
    public let diskInfo: DiskInfo?
    /// Whether the target is a regular file.
    public var isRegularFile: Bool { diskInfo == nil }
    /// What is on the disk now and will be lost; nil if unknown, or if nothing will be written.
    package let contents: DiskContents?
    /// By what the disk was asked for; empty where nothing was asked for.
    public let hints: [DiskHint]
    /// Where no disk was named: all disks of the host, and what stands against those that were not taken. Else empty.
    public let consideredDisks: [ConsideredDisk]

    /// In disk order.
    public let partitions: [Partition]
    /// Compressed size of all images to be written, in bytes.
    public let compressedBytes: UInt64
    /// Decoded size of all images to be written, in bytes.
    public let decodedBytes: UInt64
    /// `io_uring` or `pwrite`.
    public let engineName: String
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
    /// Looks at what is on it, too.
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

extension DiskMismatch {
    /// The same mismatch with the partition of the plan that contains it.
    func located(in plan: StreamPlan) -> DiskMismatch {
        let region = plan.regions.first { $0.target.path == path }?.partition
        let partition = region ?? plan.partitions.first { offset >= $0.offsetBytes && offset - $0.offsetBytes < $0.sizeBytes }
        guard area == nil, let partition else { return self }
        return DiskMismatch(
            expectation, path: path, area: .partition(number: partition.number, name: partition.name),
            range: offset..<offset + UInt64(lengthBytes), count: count)
    }
}
