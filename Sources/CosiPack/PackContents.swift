package import CosiFormat
package import StreamDisk

/// What an image of a disk holds: known before any of its data is read.
package struct PackContents: Sendable {
    /// One partition of the disk.
    package struct Partition: Sendable {
        package let entry: GPTPartition
        /// What libblkid finds; nil for nothing.
        package let signature: DiskContents.Signature?
        /// Nil for one that is left out.
        package let content: PartitionContent?
        /// What the metadata says of its file system; nil where it says nothing.
        package let filesystem: PackInput.Filesystem?

        /// Bytes to read; nil for one that is left out.
        package var dataBytes: UInt64? {
            content.map { $0.data.reduce(0) { $0 + $1.upperBound - $1.lowerBound } }
        }
    }

    package let source: String
    package let diskBytes: UInt64
    package let blockBytes: Int
    package let diskGUID: GUID
    /// What qemu-img calls the format of a virtual disk.
    package let virtualFormat: String?
    /// In disk order.
    package let partitions: [Partition]
    package let system: PackInput.System

    /// Of all images, decoded.
    package var imageBytes: UInt64 { partitions.reduce(0) { $0 + ($1.content?.sizeBytes ?? 0) } }
    /// To be read: the rest is known to be zero.
    package var dataBytes: UInt64 { partitions.reduce(0) { $0 + ($1.dataBytes ?? 0) } }
    /// For people.
    package var osName: String { StreamDisk.osName(release: system.osRelease) }
}

/// What a run tells of itself, on the calling thread.
package enum PackEvent: Sendable {
    case phase(StreamPhase)
    /// Before something that takes long.
    case note(String)
    case warning(String)
    case plan(PackContents)
    case progress(PackProgress)
}

/// What a run made.
package struct PackedImage: Sendable {
    package let path: String
    package let contents: PackContents
    package let result: PackResult

    /// As a reader asks for it.
    package var hashText: String { "sha384:" + result.metadataSHA384.hexadecimal }
}
