/// The used clusters of FAT12, FAT16 and FAT32 (Microsoft, "FAT: General Overview of On-Disk Format"; fsck.fat(8)).
func mapFAT(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
    let layout = try FATLayout(reader)
    var table = try FATTable(layout, reader)
    try table.check()
    used.add(0, layout.dataStart)
    for cluster in 2..<layout.clusterEnd where table.isUsed(cluster) {
        let start = layout.dataStart + UInt64(cluster - 2) * layout.clusterBytes
        used.add(start, start + layout.clusterBytes)
    }
    used.add(layout.totalBytes, reader.sizeBytes)
}

/// Where the parts of a FAT file system lie, from its boot sector.
private struct FATLayout {
    let entryBits: Int
    let clusterBytes: UInt64
    /// One after the last cluster; the first is 2.
    let clusterEnd: Int
    let tableStart: UInt64
    let tableBytes: UInt64
    let dataStart: UInt64
    let totalBytes: UInt64
    let media: UInt8
    /// FAT32's: the first cluster of the root directory.
    let rootCluster: Int?

    init(_ reader: PartitionReader) throws(MapFailure) {
        let sector = try reader.read(0, count: 512)
        let damage = MapFailure.damaged("its boot sector has impossible numbers")
        let sectorBytes = UInt64(sector.little16(11))
        let (perCluster, reserved, tables) = (UInt64(sector[13]), UInt64(sector.little16(14)), sector[16])
        guard sector[510] == 0x55, sector[511] == 0xAA, [512, 1024, 2048, 4096].contains(sectorBytes), perCluster > 0,
            perCluster & (perCluster - 1) == 0, reserved > 0
        else { throw damage }
        let rootEntries = UInt64(sector.little16(17))
        let (short, long) = (UInt64(sector.little16(19)), UInt64(sector.little32(32)))
        let sectors = short != 0 ? short : long
        let shortTable = UInt64(sector.little16(22))
        let isLong = shortTable == 0
        let tableSectors = isLong ? UInt64(sector.little32(36)) : shortTable
        // Without a second copy, nothing tells a free cluster from a damaged entry.
        guard tables == 2 else { throw .unknown("a FAT without its copy, or with more of them,") }
        guard tableSectors > 0, tableSectors * sectorBytes <= 1 << 30, isLong == (rootEntries == 0) else { throw damage }
        guard rootEntries * 32 % sectorBytes == 0 else { throw damage }
        let rootSectors = rootEntries * 32 / sectorBytes
        let dataSector = reserved + 2 * tableSectors + rootSectors
        guard dataSector < sectors else { throw damage }
        totalBytes = sectors * sectorBytes
        guard totalBytes <= reader.sizeBytes else { throw .damaged("it is larger than its partition") }
        let clusters = (sectors - dataSector) / perCluster
        entryBits = isLong ? 32 : clusters < 4085 ? 12 : 16
        guard clusters > 0, clusters <= (isLong ? 0x0FFF_FFF4 : 65524) else { throw damage }
        clusterEnd = Int(clusters) + 2
        clusterBytes = perCluster * sectorBytes
        tableStart = reserved * sectorBytes
        tableBytes = tableSectors * sectorBytes
        dataStart = dataSector * sectorBytes
        guard (UInt64(clusterEnd) * UInt64(entryBits) + 7) / 8 <= tableBytes else { throw damage }
        media = sector[21]
        if isLong {
            guard sector.little16(40) & 0x80 == 0, sector.little16(42) == 0 else { throw .unknown("a FAT that is not mirrored") }
            let root = Int(sector.little32(44))
            guard root >= 2, root < clusterEnd else { throw damage }
            rootCluster = root
            try Self.checkBackup(sector, reader, sectorBytes, reserved)
        } else {
            rootCluster = nil
        }
        // The flag that Linux and Windows set while it is mounted (linux/msdos_fs.h, FAT_STATE_DIRTY).
        if sector[isLong ? 65 : 37] & 1 != 0 { throw .unclean("it was not unmounted cleanly") }
    }

    /// FAT32 keeps a copy of the boot sector, which says the same but for that flag.
    private static func checkBackup(
        _ sector: [UInt8], _ reader: PartitionReader, _ sectorBytes: UInt64, _ reserved: UInt64
    ) throws(MapFailure) {
        let place = UInt64(sector.little16(50))
        guard place > 0, place < reserved else { throw .unknown("a FAT32 without a copy of its boot sector") }
        var copy = try reader.read(place * sectorBytes, count: 512)
        copy[65] = sector[65]
        guard copy[11..<90] == sector[11..<90] else { throw .damaged("its boot sector and the copy of it differ") }
    }
}

/// A file allocation table, read whole: 1 bit a cluster stays of it.
private struct FATTable {
    private static let chunkBytes = 3 << 19  // whole entries of any width

    private let layout: FATLayout
    private let reader: PartitionReader
    private var used: [UInt64]

    init(_ layout: FATLayout, _ reader: PartitionReader) throws(MapFailure) {
        (self.layout, self.reader) = (layout, reader)
        used = [UInt64](repeating: 0, count: (layout.clusterEnd + 63) / 64)
        var marks = used
        try forEach { cluster, entry throws(MapFailure) in
            if cluster < 2 { return try Self.checkReserved(cluster, entry, layout) }
            if entry != 0 { marks[cluster / 64] |= 1 << UInt64(cluster % 64) }
        }
        used = marks
    }

    func isUsed(_ cluster: Int) -> Bool { used[cluster / 64] >> UInt64(cluster % 64) & 1 != 0 }

    /// That every chain leads from used clusters to used clusters, and both copies say the same.
    mutating func check() throws(MapFailure) {
        if let root = layout.rootCluster, !isUsed(root) { throw .damaged("its root directory lies in a free cluster") }
        let last = UInt32(truncatingIfNeeded: (1 << min(layout.entryBits, 28)) - 8)
        let (end, copy) = (layout.clusterEnd, self)
        try forEach { cluster, entry throws(MapFailure) in
            // Ends from …F8; …F7 marks a bad cluster, which is kept as it is.
            guard cluster >= 2, entry != 0, entry < last - 1 else { return }
            guard entry >= 2, entry < UInt32(end), copy.isUsed(Int(entry)) else {
                throw .damaged("cluster \(cluster) leads to \(entry), which is none or free")
            }
        }
    }

    /// The two entries before the first cluster: media type, and whether it was unmounted.
    private static func checkReserved(_ index: Int, _ entry: UInt32, _ layout: FATLayout) throws(MapFailure) {
        if index == 0 {
            guard UInt8(truncatingIfNeeded: entry) == layout.media else {
                throw .damaged("its table does not begin with its media type")
            }
        } else if layout.entryBits == 16, entry & 0xC000 != 0xC000 {
            throw .unclean("it was not unmounted cleanly")
        } else if layout.entryBits == 32, entry & 0x0C00_0000 != 0x0C00_0000 {
            throw .unclean("it was not unmounted cleanly")
        }
    }

    /// Calls `body` with each entry, and checks that the copy has the same, and that nothing follows the last cluster's: then the
    /// boot sector's numbers of clusters are not those that the table was made for.
    private func forEach(_ body: (Int, UInt32) throws(MapFailure) -> Void) throws(MapFailure) {
        let bytes = layout.tableBytes
        var offset: UInt64 = 0
        var cluster = 0
        while offset < bytes {
            let count = Int(min(UInt64(Self.chunkBytes), bytes - offset))
            let chunk = try reader.read(layout.tableStart + offset, count: count)
            guard try chunk == reader.read(layout.tableStart + layout.tableBytes + offset, count: count) else {
                throw .damaged("its two allocation tables differ")
            }
            let entries = count * 8 / layout.entryBits
            for index in 0..<entries {
                let entry = Self.entry(chunk, index, layout.entryBits)
                if cluster < layout.clusterEnd {
                    try body(cluster, entry)
                } else if entry != 0 {
                    throw .damaged("its table has entries for clusters that are not there")
                }
                cluster += 1
            }
            offset += UInt64(count)
        }
    }

    private static func entry(_ chunk: [UInt8], _ index: Int, _ bits: Int) -> UInt32 {
        switch bits {
        case 12:
            let pair = chunk.little16(index * 3 / 2)
            return UInt32(index % 2 == 0 ? pair & 0xFFF : pair >> 4)
        case 16: return UInt32(chunk.little16(index * 2))
        default: return chunk.little32(index * 4) & 0x0FFF_FFFF
        }
    }
}
