import CZstd
package import CosiFormat
import StreamDisk

/// What `writeCosi` makes an image of: a disk's table, the contents of its partitions, and what the metadata says of its system.
package struct PackInput: Sendable {
    /// A partition to take into the image.
    package struct Partition: Sendable {
        /// The number of its GPT entry, from 1.
        package let number: Int
        /// The image's name in the tar, under `images/`, such as `images/disk_1.raw.zst`.
        package let imagePath: String
        /// What its image is made of.
        package let content: PartitionContent
        /// The path to name when reading it fails.
        package let sourcePath: String
        /// What the metadata says of its file system; nil for a verity hash tree and for raw bytes.
        package let filesystem: Filesystem?

        package init(
            number: Int, imagePath: String, content: PartitionContent, sourcePath: String, filesystem: Filesystem?
        ) {
            self.number = number
            self.imagePath = imagePath
            self.content = content
            self.sourcePath = sourcePath
            self.filesystem = filesystem
        }
    }

    /// As ``CosiMetadata/Filesystem``, before its image is there. The partition's type is the GPT entry's.
    package struct Filesystem: Sendable {
        /// A path, or empty, `none` or `swap`.
        package var mountPoint: String
        /// Such as `ext4`.
        package var fsType: String
        /// A UUID, or FAT's `A1B2-C3D4`.
        package var fsUUID: String
        /// Its hash tree; nil where it has none.
        package var verity: Verity?

        package init(mountPoint: String, fsType: String, fsUUID: String, verity: Verity? = nil) {
            self.mountPoint = mountPoint
            self.fsType = fsType
            self.fsUUID = fsUUID
            self.verity = verity
        }
    }

    /// A file system's dm-verity hash tree.
    package struct Verity: Sendable {
        /// The GPT entry whose image has it: a hash partition that is packed too, or the file system's own.
        package var hashNumber: Int
        /// As hexadecimal text.
        package var rootHash: String
        /// Where the hash tree begins in that image; nil when it has an image of its own.
        package var hashOffset: UInt64?

        package init(hashNumber: Int, rootHash: String, hashOffset: UInt64? = nil) {
            self.hashNumber = hashNumber
            self.rootHash = rootHash
            self.hashOffset = hashOffset
        }
    }

    /// What the metadata says of the system on the disk.
    package struct System: Sendable {
        package var osArch: CosiMetadata.Architecture
        /// Verbatim `/etc/os-release`.
        package var osRelease: String
        package var osPackages: [CosiMetadata.Package]
        package var bootloader: CosiMetadata.Bootloader
        /// A UUID; left out where it is nil.
        package var id: String?

        package init(
            osArch: CosiMetadata.Architecture, osRelease: String, osPackages: [CosiMetadata.Package],
            bootloader: CosiMetadata.Bootloader, id: String? = nil
        ) {
            self.osArch = osArch
            self.osRelease = osRelease
            self.osPackages = osPackages
            self.bootloader = bootloader
            self.id = id
        }
    }

    /// The bytes of the disk from its first to the end of the GPT's entry array.
    package let table: [UInt8]
    /// 512 or 4096.
    package let blockBytes: Int
    /// Of the disk; a multiple of `blockBytes`.
    package let diskBytes: UInt64
    /// The name of the table's image in the tar, such as `images/disk_gpt.raw.zst`.
    package let tablePath: String
    /// In any order: the image has them by their place on the disk.
    package let partitions: [Partition]
    package let system: System

    package init(
        table: [UInt8], blockBytes: Int, diskBytes: UInt64, tablePath: String, partitions: [Partition], system: System
    ) {
        self.table = table
        self.blockBytes = blockBytes
        self.diskBytes = diskBytes
        self.tablePath = tablePath
        self.partitions = partitions
        self.system = system
    }
}

/// How `writeCosi` compresses.
package struct PackOptions: Sendable {
    /// What zstd takes for its levels: 1 to 22.
    package static let levelRange = 1...22
    package static let windowLogRange = CosiMetadata.windowLogRange
    /// The mean of the lengths of frames: a power of two.
    package static let frameBytesRange = (64 << 10)...(16 << 20)

    /// zstd's compression level.
    package var level = 9
    /// The most that a frame's window may take, as a power of two; nil: what the level takes for frames of this length.
    package var windowLog: Int?
    /// The mean of the lengths of frames: a power of two in `frameBytesRange`; docs/decisions/0010 has the choice.
    package var frameBytes = 256 << 10
    /// Threads that compress; nil: one a processor.
    package var threads: Int?

    package init() {}

    package var threadCount: Int { threads ?? processorCount() }

    /// Frames under way: one for each compressor, as many behind it in the queue, and one in the writer's hands.
    var slotCount: Int { 2 * threadCount + 1 }

    /// The most memory that a run takes: what the frames need, and what zstd does.
    package var memoryBytes: UInt64 {
        let cutter = FrameCutter(meanBytes: frameBytes)
        var parameters = ZSTD_getCParams(Int32(level), UInt64(cutter.mostBytes), 0)
        if let windowLog { parameters.windowLog = min(parameters.windowLog, UInt32(windowLog)) }
        let compressor = UInt64(ZSTD_estimateCCtxSize_usingCParams(parameters))
        let slot = UInt64(cutter.mostBytes + FrameSlot.outputBytes(cutter))
        return UInt64(slotCount) * slot + UInt64(threadCount) * compressor + UInt64(FrameReader.stagingBytes(cutter))
    }
}

/// Where the image goes.
package struct PackOutput: Sendable {
    /// The file to make. It appears whole or not at all.
    package let path: String
    /// Whether a file of this name may be replaced.
    package let replaces: Bool

    package init(path: String, replaces: Bool) {
        self.path = path
        self.replaces = replaces
    }
}

/// How far `writeCosi` is.
package struct PackProgress: Sendable {
    package enum Phase: String, Sendable {
        /// Reading and compressing.
        case pack
        /// Hashing what is not hashed yet, and writing it all to the disk.
        case finish
    }
    package var phase: Phase
    package var elapsedSeconds: Double
    /// Bytes of data that were read.
    package var readBytes: UInt64
    /// Bytes of data to read: zeros that the contents know of are not counted.
    package var totalBytes: UInt64
    /// Bytes of the image file so far.
    package var writtenBytes: UInt64
}

/// What `writeCosi` made.
package struct PackResult: Sendable {
    /// Of `metadata.json`: the hash that a reader asks for.
    package let metadataSHA384: [UInt8]
    /// The metadata as written, parsed again.
    package let metadata: CosiMetadata
    /// Of the image file.
    package let fileBytes: UInt64
    /// Bytes of data that were read.
    package let readBytes: UInt64
    package let frameCount: Int
    package let elapsedSeconds: Double
}
