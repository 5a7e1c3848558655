/// The used blocks of ext2, ext3 and ext4: what the groups' bitmaps say, and all that has a fixed place.
func mapExt(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
    let layout = try ExtLayout(reader)
    let perBlock = layout.blockBytes / UInt64(layout.descriptorBytes)
    // The boot loader's, which is in no group of a file system of 1 KiB blocks.
    used.add(0, ExtLayout.superblockOffset + 1024)
    for index in 0..<layout.descriptorBlocks {
        let block = try reader.read(layout.descriptorBlock(index) * layout.blockBytes, count: Int(layout.blockBytes))
        for group in index * perBlock..<min((index + 1) * perBlock, layout.groupCount) {
            let at = Int(group % perBlock) * layout.descriptorBytes
            let descriptor = Array(block[at..<at + layout.descriptorBytes])
            try ExtGroup(number: group, layout: layout, descriptor: descriptor).map(reader, &used)
        }
    }
    used.add(layout.blockCount * layout.blockBytes, reader.sizeBytes)
}

/// One group of blocks.
private struct ExtGroup {
    private static let hasNoBlockBitmap: UInt16 = 0x2

    let number: UInt64
    let layout: ExtLayout
    let descriptor: [UInt8]

    /// A number of which 32-byte descriptors have the low half only.
    private func wide32(_ low: Int, _ high: Int) -> UInt64 {
        UInt64(descriptor.little32(low)) | (layout.isWide ? UInt64(descriptor.little32(high)) << 32 : 0)
    }
    private func wide16(_ low: Int, _ high: Int) -> UInt32 {
        UInt32(descriptor.little16(low)) | (layout.isWide ? UInt32(descriptor.little16(high)) << 16 : 0)
    }

    func map(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
        guard checksumHolds else { throw .damaged("the descriptor of group \(number) has a wrong checksum") }
        let (blocks, inodes, table) = (wide32(0, 32), wide32(4, 36), wide32(8, 40))
        let copies = layout.copies(in: number)
        let places = [(blocks, 1), (inodes, 1), (table, layout.inodeTableBlocks), copies]
        for (first, count) in places where count > 0 {
            guard first >= layout.firstBlock, first < layout.blockCount, count <= layout.blockCount - first else {
                throw .damaged("a structure of group \(number) lies outside the file system")
            }
            used.add(first * layout.blockBytes, (first + count) * layout.blockBytes)
        }
        // Only checksums make the flag believable; what the group holds then has been added, here and by other groups.
        let isUnset = descriptor.little16(18) & Self.hasNoBlockBitmap != 0
        if isUnset && (layout.hasChecksums || layout.hasGroupChecksums) {
            if !layout.hasChecksums { try checkFreeBlocks(places) }
            return
        }
        try mapBitmap(try reader.read(blocks * layout.blockBytes, count: Int(layout.blockBytes)), &used)
    }

    /// A superblock without a checksum is believed about a group without a bitmap only where the group's descriptor, which has
    /// one, agrees: what is not in these places is free.
    private func checkFreeBlocks(_ places: [(first: UInt64, count: UInt64)]) throws(MapFailure) {
        let group = layout.firstBlock(of: number)..<layout.firstBlock(of: number) + layout.blockCount(of: number)
        let usedCount = places.reduce(0) { $0 + UInt64(group.clamped(to: $1.first..<$1.first + $1.count).count) }
        guard UInt64(group.count) - usedCount == UInt64(wide16(12, 44)) * layout.blocksPerCluster else {
            throw .damaged("group \(number) does not have as many free blocks as its descriptor says")
        }
    }

    private func mapBitmap(_ bitmap: [UInt8], _ used: inout UsedBytes) throws(MapFailure) {
        let perGroup = layout.blocksPerGroup / layout.blocksPerCluster
        if layout.hasChecksums {
            // 32-byte descriptors have 16 bits of it.
            let sum = CRC32C.update(layout.seed, bitmap[..<Int(perGroup / 8)])
            guard layout.isWide ? wide16(24, 56) == sum : UInt32(descriptor.little16(24)) == sum & 0xFFFF else {
                throw .damaged("the block bitmap of group \(number) has a wrong checksum")
            }
        }
        let clusters = Int((layout.blockCount(of: number) + layout.blocksPerCluster - 1) / layout.blocksPerCluster)
        let clusterBytes = layout.blocksPerCluster * layout.blockBytes
        let start = layout.firstBlock(of: number) * layout.blockBytes
        var usedCount = 0
        var index = 0
        while index < clusters {
            // Whole bytes of either kind are common.
            let byte = bitmap[index / 8]
            guard byte >> UInt8(index % 8) & 1 != 0 else {
                index += index % 8 == 0 && byte == 0 ? 8 : 1
                continue
            }
            let first = index
            while index < clusters, bitmap[index / 8] >> UInt8(index % 8) & 1 != 0 {
                index += index % 8 == 0 && bitmap[index / 8] == 0xFF ? 8 : 1
            }
            index = min(index, clusters)
            usedCount += index - first
            let end = min(start + UInt64(index) * clusterBytes, layout.blockCount * layout.blockBytes)
            used.add(start + UInt64(first) * clusterBytes, end)
        }
        guard UInt64(clusters - usedCount) == UInt64(wide16(12, 44)) else {
            throw .damaged("the block bitmap of group \(number) does not have as many free blocks as its descriptor says")
        }
    }

    private var checksumHolds: Bool {
        let stored = descriptor.little16(30)
        let group = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        if layout.hasChecksums {
            var zeroed = descriptor
            (zeroed[30], zeroed[31]) = (0, 0)
            return UInt16(truncatingIfNeeded: CRC32C.update(CRC32C.update(layout.seed, group), zeroed)) == stored
        }
        guard layout.hasGroupChecksums else { return true }
        var sum = Self.crc16(~0, layout.uuid)
        sum = Self.crc16(sum, group)
        sum = Self.crc16(sum, descriptor[..<30])
        return Self.crc16(sum, descriptor[32...]) == stored
    }

    /// CRC-16 of the polynomial 0x8005, reflected (Linux, lib/crc16.c).
    private static func crc16(_ crc: UInt16, _ bytes: some Sequence<UInt8>) -> UInt16 {
        var crc = crc
        for byte in bytes {
            crc ^= UInt16(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0xA001 }
        }
        return crc
    }
}
