package import CosiFormat

extension ImageContents {
    /// A partition of the image's GPT, with everything that the metadata says about it.
    package struct Row: Sendable {
        package let partition: GPTPartition
        /// Nil if it has no image.
        package let region: CosiMetadata.Region?
        package let filesystem: CosiMetadata.Filesystem?
        /// The file system whose dm-verity hash tree this partition holds; nil if the tree follows the file system itself.
        package let hashedPartition: GPTPartition?
        /// The partition that holds the file system's hash tree: this one if the tree follows the file system; nil if there is
        /// none.
        package let hashPartition: GPTPartition?
    }

    /// All partitions, in disk order.
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
