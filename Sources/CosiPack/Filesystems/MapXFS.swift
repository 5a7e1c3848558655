/// The used blocks of XFS: what the free space trees by block number leave out ("XFS Algorithms & Data Structures"; Linux,
/// fs/xfs/libxfs/xfs_format.h). The blocks that the trees keep in reserve count as used.
func mapXFS(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
    let layout = try XFSLayout(reader)
    try XFSLog(layout, reader).checkClean()
    for group in 0..<layout.groupCount { try XFSGroup(group, layout, reader).map(&used) }
    used.add(layout.blockCount * layout.blockBytes, reader.sizeBytes)
}

/// Where the structures of XFS lie, from its superblock. Numbers are big-endian, checksums are not.
struct XFSLayout {
    /// ftype, sparse inodes, metadata UUID, big time stamps, large extent counts, exchange, parent pointers
    private static let knownIncompatible: UInt32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80
    private static let needsRepair: UInt32 = 0x10
    private static let metadataUUID: UInt32 = 0x4
    /// free inode tree, reverse map, reference counts, inode tree counts
    private static let knownReadOnly: UInt32 = 0xF

    let blockBytes: UInt64
    let blockCount: UInt64
    let sectorBytes: Int
    let groupBlocks: UInt64
    let groupCount: UInt64
    let logStart: UInt64
    let logBlocks: UInt64
    /// Whether structures have checksums: version 5.
    let hasChecksums: Bool
    let uuid: [UInt8]

    init(_ reader: PartitionReader) throws(MapFailure) {
        let head = try reader.read(0, count: 512)
        guard Array(head[..<4]) == Array("XFSB".utf8) else { throw .damaged("its superblock has no magic number") }
        let damage = MapFailure.damaged("its superblock has impossible numbers")
        sectorBytes = Int(head.big16(102))
        blockBytes = UInt64(head.big32(4))
        guard [512, 1024, 2048, 4096, 8192, 16384, 32768].contains(sectorBytes), blockBytes & (blockBytes - 1) == 0,
            blockBytes >= 512,
            blockBytes <= 65536, blockBytes >= sectorBytes, head[120] < 64, 1 << UInt64(head[120]) == blockBytes
        else { throw damage }
        let version = head.big16(100) & 0xF
        guard version == 4 || version == 5 else { throw .unknown("version \(version)") }
        hasChecksums = version == 5
        if hasChecksums {
            let sector = try reader.read(0, count: sectorBytes)
            guard Self.checksumHolds(sector, at: 224) else { throw .damaged("its superblock has a wrong checksum") }
            let incompatible = head.big32(216)
            if incompatible & Self.needsRepair != 0 { throw .unclean("it is marked as needing repair") }
            let more = (incompatible & ~Self.knownIncompatible, head.big32(212) & ~Self.knownReadOnly)
            guard more == (0, 0) else {
                throw .unknown("feature 0x\(String(more.0, radix: 16)) or ro 0x\(String(more.1, radix: 16))")
            }
            uuid = incompatible & Self.metadataUUID != 0 ? Array(head[248..<264]) : Array(head[32..<48])
        } else {
            uuid = Array(head[32..<48])
        }
        guard head[126] == 0 else { throw .unclean("it was not made to the end") }
        guard head.big64(16) == 0 else { throw .unknown("a file system with a realtime part") }
        blockCount = head.big64(8)
        groupBlocks = UInt64(head.big32(84))
        groupCount = UInt64(head.big32(88))
        guard blockCount > 0, blockCount <= reader.sizeBytes / blockBytes, groupBlocks >= 64, groupCount > 0,
            groupBlocks * (groupCount - 1) < blockCount, blockCount <= groupBlocks * groupCount
        else { throw damage }
        let start = head.big64(48)
        guard start != 0 else { throw .unknown("a file system with its journal elsewhere") }
        let groupLog = UInt64(head[124])
        guard groupLog < 32, groupBlocks <= 1 << groupLog, groupBlocks > (1 << groupLog) / 2 else { throw damage }
        let (group, block) = (start >> groupLog, start & (1 << groupLog - 1))
        logBlocks = UInt64(head.big32(96))
        guard group < groupCount, block < groupBlocks, logBlocks > 0, logBlocks <= groupBlocks - block else { throw damage }
        logStart = (group * groupBlocks + block) * blockBytes
        guard logStart / blockBytes + logBlocks <= blockCount else { throw damage }
    }

    static func checksumHolds(_ bytes: [UInt8], at place: Int) -> Bool {
        var zeroed = bytes
        for index in place..<place + 4 { zeroed[index] = 0 }
        return ~CRC32C.update(~0, zeroed) == bytes.little32(place)
    }
}

/// The free space of one allocation group.
private struct XFSGroup {
    private static let levelsMax = 8

    private let number: UInt64
    private let layout: XFSLayout
    private let reader: PartitionReader
    private let start: UInt64
    private let blockCount: UInt64
    private let root: UInt32
    private let levels: Int
    private let freeBlocks: UInt64
    private let longest: UInt64

    init(_ number: UInt64, _ layout: XFSLayout, _ reader: PartitionReader) throws(MapFailure) {
        (self.number, self.layout, self.reader) = (number, layout, reader)
        start = number * layout.groupBlocks * layout.blockBytes
        blockCount = min(layout.groupBlocks, layout.blockCount - number * layout.groupBlocks)
        let sector = try reader.read(start + UInt64(layout.sectorBytes), count: layout.sectorBytes)
        guard Array(sector[..<4]) == Array("XAGF".utf8), sector.big32(4) == 1, UInt64(sector.big32(8)) == number,
            UInt64(sector.big32(12)) == blockCount
        else { throw .damaged("the header of allocation group \(number) is not one") }
        if layout.hasChecksums {
            guard XFSLayout.checksumHolds(sector, at: 216), Array(sector[64..<80]) == layout.uuid else {
                throw .damaged("the header of allocation group \(number) has a wrong checksum")
            }
        }
        root = sector.big32(16)
        levels = Int(sector.big32(28))
        freeBlocks = UInt64(sector.big32(52))
        longest = UInt64(sector.big32(56))
        guard (1...Self.levelsMax).contains(levels) else {
            throw .damaged("the free space of group \(number) has \(levels) levels")
        }
    }

    /// What the walk through the tree has seen so far.
    private struct Walk {
        var end: UInt64 = 0
        var free: UInt64 = 0
        var longest: UInt64 = 0
        var blocks: UInt64 = 0
    }

    func map(_ used: inout UsedBytes) throws(MapFailure) {
        var walk = Walk()
        try visit(root, level: levels - 1, &walk, &used)
        used.add(start + walk.end * layout.blockBytes, start + blockCount * layout.blockBytes)
        guard walk.free == freeBlocks, walk.longest == longest else {
            throw .damaged("allocation group \(number) does not have as much free space as its header says")
        }
    }

    private func visit(_ block: UInt32, level: Int, _ walk: inout Walk, _ used: inout UsedBytes) throws(MapFailure) {
        let damage = MapFailure.damaged("the free space tree of allocation group \(number) is not as it should be")
        walk.blocks += 1
        guard UInt64(block) < blockCount, walk.blocks <= blockCount else { throw damage }
        let place = start + UInt64(block) * layout.blockBytes
        let bytes = try reader.read(place, count: Int(layout.blockBytes))
        let header = layout.hasChecksums ? 56 : 16
        let count = Int(bytes.big16(6))
        guard Array(bytes[..<4]) == Array((layout.hasChecksums ? "AB3B" : "ABTB").utf8), Int(bytes.big16(4)) == level else {
            throw damage
        }
        if layout.hasChecksums {
            guard XFSLayout.checksumHolds(bytes, at: 52), bytes.big64(16) == place / 512, Array(bytes[32..<48]) == layout.uuid,
                UInt64(bytes.big32(48)) == number
            else { throw damage }
        }
        if level > 0 {
            let most = (bytes.count - header) / 12
            guard (1...most).contains(count) else { throw damage }
            for index in 0..<count {
                try visit(bytes.big32(header + 8 * most + 4 * index), level: level - 1, &walk, &used)
            }
            return
        }
        guard count <= (bytes.count - header) / 8 else { throw damage }
        for index in 0..<count {
            let (first, length) = (UInt64(bytes.big32(header + 8 * index)), UInt64(bytes.big32(header + 8 * index + 4)))
            // Extents that touch would be one.
            guard length > 0, first > walk.end, first < blockCount, length <= blockCount - first else { throw damage }
            used.add(start + walk.end * layout.blockBytes, start + first * layout.blockBytes)
            walk.end = first + length
            walk.free += length
            walk.longest = max(walk.longest, length)
        }
    }
}

/// The journal of XFS. It is clean if its last record is the one that unmounting writes (Linux, fs/xfs/xfs_log_recover.c).
private struct XFSLog {
    private static let recordMagic: UInt32 = 0xFEED_BABE
    private static let sectorBytes: UInt64 = 512
    private static let chunkBytes: UInt64 = 1 << 20

    private let start: UInt64
    private let sectors: UInt64
    private let reader: PartitionReader

    init(_ layout: XFSLayout, _ reader: PartitionReader) {
        start = layout.logStart
        sectors = layout.logBlocks * layout.blockBytes / Self.sectorBytes
        self.reader = reader
    }

    func checkClean() throws(MapFailure) {
        let (head, record) = try ends()
        let unclean = MapFailure.unclean("its journal was not replayed")
        guard let record else { throw unclean }
        let header = try sector(record)
        let isLong = header.big32(8) & 2 != 0 && header.big32(320) > 32768
        let headerSectors = isLong ? (UInt64(header.big32(320)) + 32767) / 32768 : 1
        let length = UInt64(header.big32(12))
        guard header.big32(40) == 1, length > 0, length <= 1 << 20, headerSectors <= 64 else { throw unclean }
        let operation = try sector((record + headerSectors) % sectors)
        guard operation[9] & 0x20 != 0, (record + headerSectors + (length + 511) / 512) % sectors == head else { throw unclean }
    }

    private func sector(_ index: UInt64) throws(MapFailure) -> [UInt8] {
        try reader.read(start + index * Self.sectorBytes, count: Int(Self.sectorBytes))
    }

    /// The sector that the next record would go to, and the one where the last record begins. The number of the lap stands in
    /// each sector: up to the head one more than behind it.
    private func ends() throws(MapFailure) -> (head: UInt64, record: UInt64?) {
        var (first, head): (UInt32?, UInt64?) = (nil, nil)
        var (before, after): (UInt64?, UInt64?) = (nil, nil)
        var index: UInt64 = 0
        while index < sectors {
            let count = min(Self.chunkBytes / Self.sectorBytes, sectors - index)
            let chunk = try reader.read(start + index * Self.sectorBytes, count: Int(count * Self.sectorBytes))
            for at in stride(from: 0, to: chunk.count, by: Int(Self.sectorBytes)) {
                let isRecord = chunk.big32(at) == Self.recordMagic
                let lap = chunk.big32(isRecord ? at + 4 : at)
                let from = first ?? lap
                first = from
                if head == nil, lap != from { head = index }
                guard head == nil || (from > 0 && lap == from - 1) else { throw .unclean("its journal has no clear end") }
                if isRecord { if head == nil { before = index } else { after = index } }
                index += 1
            }
        }
        return (head ?? 0, before ?? after)
    }
}
