import CosiFormat

/// What a run is about to do: shown to a person before, and reported as the `plan` event.
public struct StreamPlan: Sendable {
    /// A partition of the image's table.
    public struct Partition: Sendable {
        /// GPT entry number, from 1.
        public let number: Int
        /// Its name in the GPT.
        public let name: String
        /// Where it lies on the disk, in bytes.
        public let offsetBytes: UInt64
        /// How long it is.
        public let sizeBytes: UInt64
        /// Its image; nil for a partition that has none and whose bytes are left alone.
        public let imagePath: String?
        /// Of its image, as it is fetched; 0 without one.
        public let compressedBytes: UInt64
        /// Of its image, when decoded; 0 without one.
        public let decodedBytes: UInt64
        /// Of its file system, as the metadata says; nil where it says nothing.
        public let mountPoint: String?
        /// Of its file system, as the metadata says; nil where it says nothing.
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
        public let contents: DiskContents?
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
    /// The same as text: `sha384:` and 96 hexadecimal digits.
    package var hashText: String { "sha384:" + metadataSHA384.hexadecimal }
    /// Whether it was compared with a hash that the user gave.
    public let isHashCompared: Bool
    /// The architecture the image is for, as its metadata says.
    public let architecture: String
    /// What the image needs of a disk.
    public let imageDiskBytes: UInt64

    /// What goes where in a run of ``streamRegions(from:to:options:cancellation:approve:onEvent:)``, in the order asked for; else
    /// empty. Of several regions ``diskPath`` names all targets, and ``diskBytes`` is their sum.
    public let regions: [Region]

    /// As it was asked for.
    public let diskPath: String
    /// The disk's path without symbolic links.
    public let resolvedDiskPath: String
    /// The disk's size.
    public let diskBytes: UInt64
    /// The disk's logical block size.
    public let blockBytes: Int
    /// What the host tells of it; nil for a regular file.
    public let diskInfo: DiskInfo?
    /// Whether it is a file taken for a disk.
    public var isRegularFile: Bool { diskInfo == nil }
    /// What is on it now and will be lost; nil when that could not be told, or nothing is to be written.
    public let contents: DiskContents?
    /// Where no disk was named: all disks of the host, and what stands against those that were not taken. Else empty.
    public let consideredDisks: [ConsideredDisk]

    /// In the order of the disk; of a run onto regions, only those.
    public let partitions: [Partition]
    /// Σ over the images to be written.
    public let compressedBytes: UInt64
    /// Of its image, when decoded; 0 without one.
    public let decodedBytes: UInt64
    /// `io_uring` or `pwrite`.
    public let engineName: String
    /// Everything worth knowing before a yes.
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
        image contents: ImageContents, isHashCompared: Bool, onto targets: [OpenRegion], engineName: String, notes: [StreamWarning]
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
    /// The same, with the partition of the plan that it is in.
    func located(in plan: StreamPlan) -> DiskMismatch {
        let region = plan.regions.first { $0.target.path == path }?.partition
        let partition = region ?? plan.partitions.first { offset >= $0.offsetBytes && offset - $0.offsetBytes < $0.sizeBytes }
        guard area == nil, let partition else { return self }
        return DiskMismatch(
            expectation, path: path, area: .partition(number: partition.number, name: partition.name),
            range: offset..<offset + UInt64(lengthBytes), count: count)
    }
}
