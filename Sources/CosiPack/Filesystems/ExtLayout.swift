/// Where the structures of an ext2, ext3 or ext4 file system lie, from its superblock (Linux, Documentation/filesystems/ext4;
/// e2fsprogs, lib/ext2fs). Every field that a place is made from is checked.
struct ExtLayout {
    /// s_feature_incompat
    private enum Incompatible {
        static let journalDevice: UInt32 = 0x8
        static let needsRecovery: UInt32 = 0x4
        static let metaGroups: UInt32 = 0x10
        static let wide: UInt32 = 0x80
        static let checksumSeed: UInt32 = 0x2000
        /// filetype, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed, largedir, inline_data, encrypt, casefold
        static let known: UInt32 = 0x2 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
    }
    /// s_feature_ro_compat
    private enum ReadOnly {
        static let sparse: UInt32 = 0x1
        static let groupChecksums: UInt32 = 0x10
        static let bigClusters: UInt32 = 0x200
        static let checksums: UInt32 = 0x400
        static let orphans: UInt32 = 0x10000
        /// Without has_snapshot and replica: sparse_super, large_file, btree_dir, huge_file, gdt_csum, dir_nlink, extra_isize,
        /// quota, bigalloc, metadata_csum, readonly, project, shared_blocks, verity
        static let known: UInt32 = 0x7F | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000
    }
    private static let sparse2: UInt32 = 0x200  // s_feature_compat
    static let superblockOffset: UInt64 = 1024

    let blockBytes: UInt64
    let blockCount: UInt64
    let firstBlock: UInt64
    let blocksPerGroup: UInt64
    let blocksPerCluster: UInt64
    let groupCount: UInt64
    let descriptorBytes: Int
    let descriptorBlocks: UInt64
    let inodeTableBlocks: UInt64
    /// Whether descriptors and bitmaps have CRC-32Cs.
    let hasChecksums: Bool
    /// Whether descriptors have CRC-16s.
    let hasGroupChecksums: Bool
    let isWide: Bool
    let seed: UInt32
    let uuid: [UInt8]
    private let firstMetaGroup: UInt64
    private let reservedTableBlocks: UInt64
    private let isSparse: Bool
    private let backupGroups: [UInt64]?

    init(_ reader: PartitionReader) throws(MapFailure) {
        let block = try reader.read(Self.superblockOffset, count: 1024)
        guard block.little16(56) == 0xEF53 else { throw .damaged("its superblock has no magic number") }
        let (compatible, incompatible, readOnly) = (block.little32(92), block.little32(96), block.little32(100))
        let revision = block.little32(76)
        guard revision <= 1 else { throw .unknown("its revision \(revision)") }
        guard revision == 1 || (compatible | incompatible | readOnly) == 0 else {
            throw .damaged("its superblock has features of no revision")
        }
        hasChecksums = readOnly & ReadOnly.checksums != 0
        hasGroupChecksums = readOnly & ReadOnly.groupChecksums != 0
        if hasChecksums {
            guard block[373] == 1 else { throw .unknown("its kind of checksum") }
            guard CRC32C.update(~0, block[..<1020]) == block.little32(1020) else {
                throw .damaged("its superblock has a wrong checksum")
            }
        }
        guard !(hasChecksums && hasGroupChecksums) else { throw .damaged("its superblock asks for two kinds of checksums") }
        if incompatible & Incompatible.needsRecovery != 0 { throw .unclean("its journal was not replayed") }
        if readOnly & ReadOnly.orphans != 0 { throw .unclean("it has deleted files to clear up") }
        let more = incompatible & ~Incompatible.known
        guard more == 0, incompatible & Incompatible.journalDevice == 0 else {
            throw .unknown("feature 0x\(String(more, radix: 16))")
        }
        let moreReadOnly = readOnly & ~ReadOnly.known
        guard moreReadOnly == 0 else { throw .unknown("feature ro 0x\(String(moreReadOnly, radix: 16))") }
        let state = block.little16(58)
        guard state & 1 != 0 else { throw .unclean("it was not unmounted cleanly") }
        guard state & 2 == 0 else { throw .unclean("it is marked as having errors") }

        isWide = incompatible & Incompatible.wide != 0
        let (blockLog, clusterLog) = (block.little32(24), block.little32(28))
        guard blockLog <= 6 else { throw .damaged("its superblock has an impossible block size") }
        blockBytes = 1024 << UInt64(blockLog)
        let hasClusters = readOnly & ReadOnly.bigClusters != 0
        guard !hasClusters || (clusterLog >= blockLog && clusterLog <= 20) else {
            throw .damaged("its superblock has an impossible cluster size")
        }
        blocksPerCluster = hasClusters ? 1 << UInt64(clusterLog - blockLog) : 1
        blockCount = UInt64(block.little32(4)) | (isWide ? UInt64(block.little32(336)) << 32 : 0)
        firstBlock = UInt64(block.little32(20))
        guard firstBlock == 0 || (firstBlock == 1 && blockBytes == 1024) else {
            throw .damaged("its superblock has an impossible first block")
        }
        guard blockBytes != 1024 || firstBlock == 1 || hasClusters else {
            throw .damaged("its superblock has an impossible first block")
        }
        blocksPerGroup = UInt64(block.little32(32))
        let clustersPerGroup = hasClusters ? UInt64(block.little32(36)) : blocksPerGroup
        guard blocksPerGroup > 0, clustersPerGroup % 8 == 0, clustersPerGroup <= 8 * blockBytes,
            clustersPerGroup * blocksPerCluster == blocksPerGroup
        else { throw .damaged("its superblock has an impossible group size") }
        guard blockCount > firstBlock, blockCount <= reader.sizeBytes / blockBytes else {
            throw .damaged("it is larger than its partition")
        }
        groupCount = (blockCount - firstBlock + blocksPerGroup - 1) / blocksPerGroup

        let inodeBytes = revision == 0 ? 128 : UInt64(block.little16(88))
        let inodesPerGroup = UInt64(block.little32(40))
        guard inodeBytes >= 128, inodeBytes <= blockBytes, inodeBytes & (inodeBytes - 1) == 0, inodesPerGroup > 0,
            inodesPerGroup <= 8 * blockBytes, UInt64(block.little32(0)) == inodesPerGroup * groupCount
        else { throw .damaged("its superblock has impossible numbers of inodes") }
        inodeTableBlocks = (inodesPerGroup * inodeBytes + blockBytes - 1) / blockBytes

        descriptorBytes = isWide ? Int(block.little16(254)) : 32
        guard descriptorBytes >= (isWide ? 64 : 32), descriptorBytes <= 1024, descriptorBytes & (descriptorBytes - 1) == 0,
            descriptorBytes <= blockBytes
        else { throw .damaged("its superblock has an impossible descriptor size") }
        let perBlock = blockBytes / UInt64(descriptorBytes)
        descriptorBlocks = (groupCount + perBlock - 1) / perBlock
        firstMetaGroup = incompatible & Incompatible.metaGroups != 0 ? UInt64(block.little32(260)) : .max
        guard firstMetaGroup == .max || firstMetaGroup <= descriptorBlocks else {
            throw .damaged("its superblock has an impossible meta group")
        }
        reservedTableBlocks = UInt64(block.little16(206))
        guard reservedTableBlocks <= blockBytes / 4 else { throw .damaged("its superblock reserves too many blocks") }
        isSparse = readOnly & ReadOnly.sparse != 0
        backupGroups = compatible & Self.sparse2 != 0 ? [UInt64(block.little32(588)), UInt64(block.little32(592))] : nil
        uuid = Array(block[104..<120])
        seed = incompatible & Incompatible.checksumSeed != 0 ? block.little32(624) : CRC32C.update(~0, uuid)
    }

    func firstBlock(of group: UInt64) -> UInt64 { firstBlock + group * blocksPerGroup }

    func blockCount(of group: UInt64) -> UInt64 { min(blocksPerGroup, blockCount - firstBlock(of: group)) }

    /// Where a copy of the superblock would lie: with 1 KiB blocks and larger clusters, block 0 is the boot loader's.
    private func superblock(of group: UInt64) -> UInt64 {
        let block = firstBlock(of: group)
        return block == 0 && blockBytes == 1024 ? 1 : block
    }

    private func hasSuperblock(_ group: UInt64) -> Bool {
        if group == 0 { return true }
        if let backupGroups { return backupGroups.contains(group) }
        if group <= 1 || !isSparse { return true }
        return [3, 5, 7].contains { (base: UInt64) in
            var power = base
            while power < group { power *= base }
            return power == group
        }
    }

    /// The block that holds the `index`th block of group descriptors.
    func descriptorBlock(_ index: UInt64) -> UInt64 {
        guard index >= firstMetaGroup else { return superblock(of: 0) + 1 + index }
        let group = index * (blockBytes / UInt64(descriptorBytes))
        return superblock(of: group) + (hasSuperblock(group) ? 1 : 0)
    }

    /// Copies of the superblock and of group descriptors in a group: their first block and how many.
    func copies(in group: UInt64) -> (first: UInt64, count: UInt64) {
        let hasSuper = hasSuperblock(group)
        let first = superblock(of: group)
        let groupsPerBlock = blockBytes / UInt64(descriptorBytes)
        let metaGroup = group / groupsPerBlock
        if metaGroup < firstMetaGroup {
            guard hasSuper else { return (first, 0) }
            let old = firstMetaGroup == .max ? descriptorBlocks + reservedTableBlocks : firstMetaGroup
            return (first, 1 + old)
        }
        let place = group % groupsPerBlock
        let hasDescriptors = place == 0 || place == 1 || place == groupsPerBlock - 1
        return (first, (hasSuper ? 1 : 0) + (hasDescriptors ? 1 : 0))
    }
}
