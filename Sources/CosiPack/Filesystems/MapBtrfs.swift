/// The used bytes of btrfs on one device: the extents of the extent tree, at each place where the chunk tree has them; the
/// superblock and its copies (btrfs documentation, "On-disk Format"; Linux, include/uapi/linux/btrfs_tree.h).
func mapBtrfs(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
    let superblock = try BtrfsSuperblock(reader)
    var chunks = superblock.systemChunks
    var trees = BtrfsTrees(superblock, reader, chunks)
    var all = BtrfsChunks()
    try trees.visit(superblock.chunkRoot, level: superblock.chunkRootLevel) { key, item throws(MapFailure) in
        if key.type == BtrfsKey.chunk { try all.add(key, item, superblock) }
    }
    chunks = all
    trees = BtrfsTrees(superblock, reader, chunks)
    var extentRoot: (address: UInt64, level: Int)?
    try trees.visit(superblock.root, level: superblock.rootLevel) { key, item throws(MapFailure) in
        guard key.object == 2, key.type == BtrfsKey.root, item.count >= 239 else { return }
        extentRoot = (item.little64(176), Int(item[238]))
    }
    guard let extentRoot else { throw .damaged("its root tree does not name the extent tree") }
    // The first MiB is the boot loader's, and has the superblock.
    used.add(0, 1 << 20)
    for copy in [64 << 20, 256 << 30] as [UInt64] { used.add(copy, copy + 4096) }
    var (end, total): (UInt64, UInt64) = (0, 0)
    var found = used
    try trees.visit(extentRoot.address, level: extentRoot.level) { key, _ throws(MapFailure) in
        guard key.type == BtrfsKey.extent || key.type == BtrfsKey.metadata else { return }
        let length = key.type == BtrfsKey.metadata ? UInt64(superblock.nodeBytes) : key.offset
        guard length > 0, key.object >= end, key.object < .max - length else { throw .damaged("its extents overlap") }
        end = key.object + length
        total += length
        for place in try chunks.places(of: key.object, length: length) { found.add(place, place + length) }
    }
    guard total == superblock.usedBytes else { throw .damaged("its extents are not as much as its superblock says") }
    used = found
    used.add(superblock.deviceBytes, reader.sizeBytes)
}

struct BtrfsKey {
    static let root: UInt8 = 132
    static let extent: UInt8 = 168
    static let metadata: UInt8 = 169
    static let chunk: UInt8 = 228
    static let byteCount = 17

    let object: UInt64
    let type: UInt8
    let offset: UInt64

    init(_ bytes: [UInt8], at place: Int) {
        object = bytes.little64(place)
        type = bytes[place + 8]
        offset = bytes.little64(place + 9)
    }
}

private struct BtrfsSuperblock {
    private static let place: UInt64 = 64 << 10
    /// All but raid56, zoned, extent tree v2 and the raid stripe tree.
    private static let knownIncompatible: UInt64 = 0x7F | 0x100 | 0x200 | 0x400 | 0x800 | 0x10000
    /// free space tree and whether it is valid, verity, block group tree
    private static let knownReadOnly: UInt64 = 0xF

    let id: [UInt8]
    let root, chunkRoot, usedBytes, deviceBytes, deviceID: UInt64
    let rootLevel, chunkRootLevel, nodeBytes: Int
    private(set) var systemChunks = BtrfsChunks()

    init(_ reader: PartitionReader) throws(MapFailure) {
        let block = try reader.read(Self.place, count: 4096)
        guard Array(block[64..<72]) == Array("_BHRfS_M".utf8), block.little64(48) == Self.place else {
            throw .damaged("its superblock has no magic number")
        }
        guard block.little16(196) == 0 else { throw .unknown("its kind of checksum") }
        guard ~CRC32C.update(~0, block[32...]) == block.little32(0) else { throw .damaged("its superblock has a wrong checksum") }
        let (incompatible, readOnly, flags) = (block.little64(188), block.little64(180), block.little64(56))
        guard incompatible & ~Self.knownIncompatible == 0, readOnly & ~Self.knownReadOnly == 0 else {
            throw .unknown("feature 0x\(String(incompatible, radix: 16)) or ro 0x\(String(readOnly, radix: 16))")
        }
        // Written; all others are of errors, seeds, images, and changes under way.
        guard flags & ~1 == 0 else { throw .unclean("it is marked as having errors or as being changed") }
        guard block.little64(96) == 0 else { throw .unclean("its log was not replayed") }
        guard block.little64(136) == 1 else { throw .unknown("a file system on several devices") }
        (root, chunkRoot, usedBytes) = (block.little64(80), block.little64(88), block.little64(120))
        (deviceID, deviceBytes) = (block.little64(201), block.little64(209))
        (rootLevel, chunkRootLevel, nodeBytes) = (Int(block[198]), Int(block[199]), Int(block.little32(148)))
        let arrayBytes = Int(block.little32(160))
        guard nodeBytes >= 4096, nodeBytes <= 65536, nodeBytes & (nodeBytes - 1) == 0, arrayBytes <= 2048 else {
            throw .damaged("its superblock has impossible numbers")
        }
        guard deviceBytes <= reader.sizeBytes, deviceBytes >= 1 << 20 else { throw .damaged("it is larger than its partition") }
        id = Array(incompatible & 0x400 != 0 ? block[571..<587] : block[32..<48])
        var at = 811
        while at < 811 + arrayBytes {
            guard at + BtrfsKey.byteCount + 80 <= 811 + arrayBytes else { throw .damaged("its superblock has impossible chunks") }
            let key = BtrfsKey(block, at: at)
            let item = Array(block[(at + BtrfsKey.byteCount)..<(811 + arrayBytes)])
            guard key.type == BtrfsKey.chunk else { throw .damaged("its superblock has impossible chunks") }
            try systemChunks.add(key, item, self)
            at += BtrfsKey.byteCount + 48 + 32 * Int(item.little16(44))
        }
    }
}

/// Where logical addresses lie on the device.
private struct BtrfsChunks {
    /// single and DUP keep a whole copy at each place; other profiles take several devices.
    private static let profiles: UInt64 = 0x7F8
    private static let duplicated: UInt64 = 0x20

    /// By address.
    private var chunks: [(logical: Range<UInt64>, places: [UInt64])] = []

    mutating func add(_ key: BtrfsKey, _ item: [UInt8], _ superblock: BtrfsSuperblock) throws(MapFailure) {
        let damage = MapFailure.damaged("a chunk has impossible numbers")
        guard item.count >= 80 else { throw damage }
        let (length, profile, stripes) = (item.little64(0), item.little64(24) & Self.profiles, Int(item.little16(44)))
        guard profile == 0 || profile == Self.duplicated else { throw .unknown("a profile of several devices") }
        guard stripes == (profile == 0 ? 1 : 2), item.count >= 48 + 32 * stripes, length > 0, length <= superblock.deviceBytes,
            key.offset <= .max - length, key.offset >= chunks.last?.logical.upperBound ?? 0
        else { throw damage }
        var places: [UInt64] = []
        for stripe in 0..<stripes {
            let place = item.little64(48 + 32 * stripe + 8)
            guard item.little64(48 + 32 * stripe) == superblock.deviceID, place <= superblock.deviceBytes - length else {
                throw damage
            }
            places.append(place)
        }
        chunks.append((key.offset..<key.offset + length, places))
    }

    func places(of address: UInt64, length: UInt64) throws(MapFailure) -> [UInt64] {
        var (low, high) = (0, chunks.count)
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].logical.upperBound <= address { low = middle + 1 } else { high = middle }
        }
        guard low < chunks.count, chunks[low].logical.contains(address), length <= chunks[low].logical.upperBound - address else {
            throw .damaged("an extent lies in no chunk")
        }
        return chunks[low].places.map { $0 + (address - chunks[low].logical.lowerBound) }
    }
}

private struct BtrfsTrees {
    private static let headerBytes = 101
    private static let levelsMax = 8

    private let superblock: BtrfsSuperblock
    private let reader: PartitionReader
    private let chunks: BtrfsChunks

    init(_ superblock: BtrfsSuperblock, _ reader: PartitionReader, _ chunks: BtrfsChunks) {
        (self.superblock, self.reader, self.chunks) = (superblock, reader, chunks)
    }

    /// Calls `body` with each item of a tree, in the order of the keys.
    func visit(
        _ address: UInt64, level: Int, _ body: (BtrfsKey, [UInt8]) throws(MapFailure) -> Void
    ) throws(MapFailure) {
        guard level < Self.levelsMax else { throw .damaged("a tree has too many levels") }
        // No tree has more nodes than the device has room for: a loop ends here.
        var nodesLeft = superblock.deviceBytes / UInt64(superblock.nodeBytes)
        try visit(address, level: level, &nodesLeft, body)
    }

    private func visit(
        _ address: UInt64, level: Int, _ nodesLeft: inout UInt64, _ body: (BtrfsKey, [UInt8]) throws(MapFailure) -> Void
    ) throws(MapFailure) {
        let damage = MapFailure.damaged("a tree's node at \(address) is not as it should be")
        guard nodesLeft > 0, let place = try chunks.places(of: address, length: UInt64(superblock.nodeBytes)).first else {
            throw damage
        }
        nodesLeft -= 1
        let node = try reader.read(place, count: superblock.nodeBytes)
        let count = Int(node.little32(96))
        guard ~CRC32C.update(~0, node[32...]) == node.little32(0), Array(node[32..<48]) == superblock.id,
            node.little64(48) == address,
            Int(node[100]) == level, count <= (node.count - Self.headerBytes) / (level == 0 ? 25 : 33)
        else { throw damage }
        for index in 0..<count {
            if level > 0 {
                try visit(node.little64(Self.headerBytes + 33 * index + BtrfsKey.byteCount), level: level - 1, &nodesLeft, body)
                continue
            }
            let at = Self.headerBytes + 25 * index
            let (offset, length) = (Int(node.little32(at + 17)), Int(node.little32(at + 21)))
            guard offset <= node.count - Self.headerBytes, length <= node.count - Self.headerBytes - offset else { throw damage }
            let start = Self.headerBytes + offset
            try body(BtrfsKey(node, at: at), Array(node[start..<start + length]))
        }
    }
}
