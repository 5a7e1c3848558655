import CosiFormat

/// Which bytes of the disk a run writes beside the partition tables: decided in preflight, by arithmetic alone.
struct WriteAreas: Sendable {
    /// Old signatures live at the ends of a disk and of a partition: RAID superblocks (md(4)) and ZFS labels in the last
    /// 512 KiB, btrfs at 64 KiB. All of them lie within so many bytes.
    static let signatureBytes: UInt64 = 1 << 20

    /// Outside all partitions and tables, in the first and the last MiB of the disk: zeroed once the old tables are gone.
    private(set) var gaps: [Range<UInt64>] = []
    /// Each image, filled up to a whole block.
    private(set) var images: [Range<UInt64>] = []
    /// What an image leaves of the last MiB of its partition: zeroed with the images.
    private(set) var tails: [Range<UInt64>] = []

    /// An image and the partition it goes to, in bytes of the disk.
    struct Region {
        let partition: Range<UInt64>
        let imageBytes: UInt64
    }

    /// - Parameters:
    ///   - regions: of each partition that has an image; disjoint, and no image larger than its partition.
    ///   - partitions: all that the new table names: outside of them are the gaps.
    ///   - tables: where the tables stand.
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

    /// Everything that is to be written in the write phase, each byte once.
    var written: ExtentAccount { Self.account(images + tails) }
    /// Everything that comes from the images.
    var imageAccount: ExtentAccount { Self.account(images) }

    private static func account(_ ranges: [Range<UInt64>]) -> ExtentAccount {
        var account = ExtentAccount()
        // Partitions are disjoint: the format's check refuses others.
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
