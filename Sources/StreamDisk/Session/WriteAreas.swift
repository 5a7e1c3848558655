import CosiFormat

/// The bytes of the disk that a run writes, apart from the partition tables. Computed in preflight by arithmetic alone.
struct WriteAreas: Sendable {
    /// Old signatures lie at the ends of a disk and of a partition: RAID superblocks (md(4)) and ZFS labels in the last 512
    /// KiB, btrfs at 64 KiB. All of them lie within this many bytes.
    static let signatureBytes: UInt64 = 1 << 20

    /// Space outside partitions and tables in the first and last MiB of the disk. Zeroed after the old tables.
    private(set) var gaps: [Range<UInt64>] = []
    /// Each image, extended to a whole block.
    private(set) var images: [Range<UInt64>] = []
    /// The part of each partition's last MiB that its image does not cover. Zeroed with the images.
    private(set) var tails: [Range<UInt64>] = []

    /// An image and the partition it goes to, in bytes of the disk.
    struct Region {
        let partition: Range<UInt64>
        let imageBytes: UInt64
    }

    /// - Parameters:
    ///   - regions: one for each partition that has an image; disjoint, and no image larger than its partition.
    ///   - partitions: all partitions of the new table. The gaps lie outside of them.
    ///   - tables: the ranges of the tables.
    init(regions: [Region], partitions: [Range<UInt64>], tables: [Range<UInt64>], diskBytes: UInt64, blockBytes: Int) {
        let block = UInt64(blockBytes)
        for region in regions {
            let (start, end) = (region.partition.lowerBound, region.partition.upperBound)
            precondition(start % block == 0 && end % block == 0 && region.imageBytes <= end - start)
            let imageEnd = start + (region.imageBytes + block - 1) / block * block
            if imageEnd > start { images.append(start..<imageEnd) }
            let tailStart = max(imageEnd, end - min(end - start, Self.signatureBytes))
            if tailStart < end { tails.append(tailStart..<end) }
        }
        let size = diskBytes / block * block
        let edge = min(Self.signatureBytes, size)
        let ends = size - edge <= edge ? [0..<size] : [0..<edge, size - edge..<size]
        let kept = (partitions + tables).sorted { $0.lowerBound < $1.lowerBound }
        for end in ends {
            var start = end.lowerBound
            for range in kept where range.upperBound > start && range.lowerBound < end.upperBound {
                if range.lowerBound > start { gaps.append(start..<range.lowerBound) }
                start = range.upperBound
            }
            if start < end.upperBound { gaps.append(start..<end.upperBound) }
        }
    }

    /// Everything that the write phase writes, each byte once.
    var written: ExtentAccount { Self.account(images + tails) }
    /// Everything that comes from the images.
    var imageAccount: ExtentAccount { Self.account(images) }

    private static func account(_ ranges: [Range<UInt64>]) -> ExtentAccount {
        var account = ExtentAccount()
        // Partitions are disjoint: the format checks refuse others.
        for range in ranges { precondition(account.add(range) == nil, "partitions overlap") }
        return account
    }
}

extension WriteAreas {
    init(_ contents: ImageContents, tables: GPT.Placement, diskBytes: UInt64, blockBytes: Int) {
        let regions = contents.partitionRegions.compactMap { region in
            contents.partition(of: region).map { partition in
                Region(partition: partition.bytes, imageBytes: region.image.uncompressedSizeBytes)
            }
        }
        self.init(
            regions: regions, partitions: contents.gpt.partitions.map(\.bytes),
            tables: tables.parts.map { $0.offset..<$0.offset + UInt64($0.bytes.count) }, diskBytes: diskBytes,
            blockBytes: blockBytes)
    }
}

extension GPTPartition {
    fileprivate var bytes: Range<UInt64> { offsetBytes..<offsetBytes + sizeBytes }
}
