package import CosiFormat

extension ImageContents {
    /// A partition of the image's GPT, with all that the metadata says of it.
    package struct Row: Sendable {
        package let partition: GPTPartition
        /// Nil where it has no image.
        package let region: CosiMetadata.Region?
        package let filesystem: CosiMetadata.Filesystem?
        /// Whose dm-verity hash tree this partition holds; nil where that lies behind the file system itself.
        package let hashedPartition: GPTPartition?
        /// The partition that holds the file system's hash tree: its own when that lies behind it; nil where none does.
        package let hashPartition: GPTPartition?
    }

    /// Every partition, in the order of the disk.
    package var rows: [Row] {
        let filesystems = metadata.images
        func place(of image: CosiMetadata.ImageFile?) -> GPTPartition? {
            partitionRegions.first { $0.image.path == image?.path }.flatMap(partition)
        }
        return gpt.partitions.sorted { $0.firstLBA < $1.firstLBA }.map { partition in
            let region = partitionRegions.first { self.partition(of: $0)?.number == partition.number }
            let filesystem = filesystems.first { $0.image.path == region?.image.path }
            let hashed = filesystems.first { $0.verity?.isInline == false && $0.verity?.image.path == region?.image.path }
            return Row(
                partition: partition, region: region, filesystem: filesystem,
                hashedPartition: place(of: hashed?.image), hashPartition: place(of: filesystem?.verity?.image))
        }
    }
}
