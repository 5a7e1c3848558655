import CosiFormat

/// What a run is about to do: shown to a person before, and reported as the `plan` event.
public struct StreamPlan: Sendable {
    public struct Partition: Sendable {
        /// GPT entry number, from 1.
        public let number: Int
        public let name: String
        /// Where it lies on the disk, in bytes.
        public let offsetBytes: UInt64
        public let sizeBytes: UInt64
        /// Its image; nil for a partition that has none and whose bytes are left alone.
        public let imagePath: String?
        public let compressedBytes: UInt64
        public let uncompressedBytes: UInt64
        public let mountPoint: String?
        public let fsType: String?
    }

    public let imageName: String
    public let metadataSHA384: [UInt8]
    /// Whether it was compared with a hash that the user gave.
    public let isHashCompared: Bool
    /// The architecture the image is for, as its metadata says.
    public let architecture: String
    /// What the image needs of a disk.
    public let imageDiskBytes: UInt64

    /// As it was asked for, and without symbolic links.
    public let diskPath: String
    public let resolvedDiskPath: String
    public let diskBytes: UInt64
    public let blockBytes: Int
    /// What the host tells of it; nil for a regular file.
    public let diskInfo: DiskInfo?
    public var isRegularFile: Bool { diskInfo == nil }
    /// What is on it now and will be lost; nil when that could not be told, or nothing is to be written.
    public let contents: DiskContents?
    /// Where no disk was named: all disks of the host, and what stands against those that were not taken. Else empty.
    public let consideredDisks: [ConsideredDisk]

    /// In the order of the disk.
    public let partitions: [Partition]
    /// Σ over the images to be written.
    public let compressedBytes: UInt64
    public let uncompressedBytes: UInt64
    /// `io_uring` or `pwrite`.
    public let engineName: String
    /// Everything worth knowing before a yes.
    public let warnings: [String]
}

extension StreamPlan {
    init(
        image contents: ImageContents, isHashCompared: Bool, disk: borrowing TargetDisk, contents diskContents: DiskContents?,
        engineName: String, notes: [String]
    ) {
        let regions = contents.partitionRegions
        let filesystems = Dictionary(
            contents.metadata.images.map { ($0.image.path, $0) }, uniquingKeysWith: { first, _ in first })
        imageName = contents.name
        metadataSHA384 = contents.metadataSHA384
        self.isHashCompared = isHashCompared
        architecture = contents.metadata.osArch.description
        imageDiskBytes = contents.metadata.disk.sizeBytes
        diskPath = disk.path
        resolvedDiskPath = disk.resolvedPath
        diskBytes = disk.sizeBytes
        blockBytes = disk.logicalBlockSize
        diskInfo = disk.info
        self.contents = diskContents
        consideredDisks = disk.considered
        partitions = contents.gpt.partitions.sorted { $0.firstLBA < $1.firstLBA }.map { partition in
            let region = regions.first { contents.partition(of: $0)?.number == partition.number }
            let filesystem = region.flatMap { filesystems[$0.image.path] }
            return Partition(
                number: partition.number, name: partition.name, offsetBytes: partition.offsetBytes,
                sizeBytes: partition.sizeBytes, imagePath: region?.image.path,
                compressedBytes: region?.image.compressedSizeBytes ?? 0,
                uncompressedBytes: region?.image.uncompressedSizeBytes ?? 0, mountPoint: filesystem?.mountPoint,
                fsType: filesystem?.fsType)
        }
        compressedBytes = contents.compressedBytes
        uncompressedBytes = contents.uncompressedBytes
        self.engineName = engineName
        warnings = contents.warnings.map(\.description) + notes
    }
}

extension DiskMismatch {
    /// The same, with the partition of the plan that it is in.
    func located(in plan: StreamPlan) -> DiskMismatch {
        let partition = plan.partitions.first { offset >= $0.offsetBytes && offset - $0.offsetBytes < $0.sizeBytes }
        guard area == nil, let partition else { return self }
        return DiskMismatch(
            expectation, path: path, area: .partition(number: partition.number, name: partition.name),
            range: offset..<offset + UInt64(lengthBytes), count: count)
    }
}
