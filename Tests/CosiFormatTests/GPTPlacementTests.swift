import CosiFormat
import Foundation
import Testing

extension GPT.Placement {
    fileprivate func write(to disk: URL) throws {
        try disk.overwrite(backup, at: backupOffsetBytes)
        try disk.overwrite(primary, at: UInt64(mbr.count))
        try disk.overwrite(mbr, at: 0)
    }
}

@Suite struct GPTPlacementTests {
    private func place(_ primary: [UInt8], on sizeBytes: UInt64) throws -> GPT.Placement {
        try GPT.parse(primary: primary, blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes).0
            .placement(onDeviceOf: sizeBytes)
    }

    @Test func onADiskOfTheSameSizeBothTablesAreSgdisksByteForByte() throws {
        try withTemporaryDirectory { directory in
            let original = directory.appendingPathComponent("original")
            try SgdiskDisk.make(original)
            let primary = try original.bytes(at: 0, count: 34 * 512)
            // A last partial block is not used.
            for extra in [0, 511] as [UInt64] {
                let placement = try place(primary, on: SgdiskDisk.sizeBytes + extra)
                #expect(firstDifference(placement.mbr + placement.primary, primary) == nil)
                #expect(placement.backupOffsetBytes == SgdiskDisk.sizeBytes - 33 * 512)
                let backup = try original.bytes(at: SgdiskDisk.sizeBytes - 33 * 512, count: 33 * 512)
                #expect(firstDifference(placement.backup, backup) == nil)
            }
        }
    }

    /// `sgdisk -e` moves the backup to a larger disk's end: all but the protective MBR must come out the same.
    @Test(arguments: [512, 4096, 1 << 20, 64 << 20, 3 << 40] as [UInt64])
    func onALargerDiskBothTablesAreThoseOfSgdisksMove(growth: UInt64) throws {
        try withTemporaryDirectory { directory in
            let original = directory.appendingPathComponent("original")
            try SgdiskDisk.make(original)
            let primary = try original.bytes(at: 0, count: 34 * 512)
            let size = SgdiskDisk.sizeBytes + growth
            let placement = try place(primary, on: size)

            try makeSparseFile(original, sizeBytes: size)
            try run("sgdisk", ["-e", original.path])
            #expect(firstDifference(placement.mbr, Array(primary[..<512])) == nil)
            #expect(try firstDifference(placement.primary, original.bytes(at: 512, count: 33 * 512)) == nil)
            #expect(placement.backupOffsetBytes == size - 33 * 512)
            #expect(try firstDifference(placement.backup, original.bytes(at: size - 33 * 512, count: 33 * 512)) == nil)
        }
    }

    @Test func onALargerDiskOnlyThreeFieldsOfThePrimaryChange() throws {
        let primary = try SgdiskDisk.primary()
        let placement = try place(primary, on: SgdiskDisk.sizeBytes * 2)
        let changed = zip(placement.mbr + placement.primary, primary).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
        let allowed = [16..<20, 32..<40, 48..<56].map { $0.lowerBound + 512..<$0.upperBound + 512 }
        #expect(!changed.isEmpty)
        #expect(changed.allSatisfy { offset in allowed.contains { $0.contains(offset) } })
    }

    /// A used disk, full of other bytes.
    @Test(arguments: [0, 512, 64 << 20] as [UInt64])
    func sgdiskAndSfdiskFindNothingToComplainOf(growth: UInt64) throws {
        try withTemporaryDirectory { directory in
            let disk = directory.appendingPathComponent("disk")
            let size = SgdiskDisk.sizeBytes + growth
            try run("openssl", ["rand", "-out", disk.path, "\(size)"])
            try place(SgdiskDisk.primary(), on: size).write(to: disk)
            let sgdisk = try run("sgdisk", ["-v", disk.path])
            #expect(sgdisk.contains("No problems found"), "\(sgdisk)")
            #expect(!sgdisk.lowercased().contains("problem:") && !sgdisk.lowercased().contains("warning"), "\(sgdisk)")
            let sfdisk = try run("sfdisk", ["--verify", disk.path])
            #expect(sfdisk.contains("No errors detected"), "\(sfdisk)")
            // Block 0 stays as in the image, so on a larger disk the protective partition is short of its end. sgdisk
            // takes no notice; sfdisk says so, and finds no error in it.
            let blocks = size / 512 - 1
            #expect(
                sfdisk.hasPrefix("GPT PMBR size mismatch (131071 != \(blocks)) will be corrected by write.")
                    == (growth > 0), "\(sfdisk)")
        }
    }

    @Test(arguments: [(1, 512), (5, 512), (5, 4096), (128, 4096), (56, 4096)])
    func anArrayThatEndsInsideABlockIsFilledUpWithZeros(count: Int, blockBytes: Int) throws {
        let made = PythonGPT(blockBytes: blockBytes, entryCount: count)
        let bytes = try made.bytes()
        let placement = try made.parse().0.placement(onDeviceOf: made.diskSizeBytes + UInt64(blockBytes))
        let arrayBytes = count * 128
        let blocks = Int(made.arrayBlocks)
        #expect(firstDifference(placement.mbr, Array(bytes[..<blockBytes])) == nil)
        #expect(placement.primary.count == (1 + blocks) * blockBytes)
        #expect(placement.backup.count == (blocks + 1) * blockBytes)
        #expect(placement.backupOffsetBytes + UInt64(placement.backup.count) == made.diskSizeBytes + UInt64(blockBytes))
        let array = Array(bytes[(2 * blockBytes)...])
        let padding = [UInt8](repeating: 0, count: blocks * blockBytes - arrayBytes)
        #expect(firstDifference(Array(placement.primary[blockBytes...]), array + padding) == nil)
        #expect(firstDifference(Array(placement.backup[..<(blocks * blockBytes)]), array + padding) == nil)
    }

    @Test func whatStandsBehindTheArrayIsKept() throws {
        let made = PythonGPT(firstUsable: 40, extra: 1000)
        let bytes = try made.bytes()
        let placement = try made.parse().0.placement(onDeviceOf: made.diskSizeBytes)
        #expect(firstDifference(placement.mbr + placement.primary, bytes + [UInt8](repeating: 0, count: 24)) == nil)
        #expect(!placement.backup.contains(0x5A))
    }

    @Test(arguments: [0, 512] as [UInt64])
    func aWrongAlternateHeaderIsPutRight(growth: UInt64) throws {
        let good = PythonGPT()
        let bad = PythonGPT(alternate: 99_999)
        let size = good.diskSizeBytes + growth
        let (fromGood, fromBad) = (
            try good.parse().0.placement(onDeviceOf: size), try bad.parse().0.placement(onDeviceOf: size)
        )
        #expect(firstDifference(fromGood.primary, fromBad.primary) == nil)
        #expect(firstDifference(fromGood.backup, fromBad.backup) == nil)
    }

    /// Also where the alternate header's place has to be put right.
    @Test(arguments: [nil, 99_999] as [UInt64?])
    func theLastUsableBlockOfTheSameDiskIsKept(alternate: UInt64?) throws {
        let bytes = try PythonGPT(lastUsable: 100_000).bytes()
        let made = PythonGPT(lastUsable: 100_000, alternate: alternate)
        let placement = try made.parse().0.placement(onDeviceOf: made.diskSizeBytes)
        #expect(firstDifference(placement.mbr + placement.primary, bytes) == nil)
    }

    @Test func aSmallerDeviceIsRefused() throws {
        let primary = try SgdiskDisk.primary()
        #expect(throws: FormatError.self) { try place(primary, on: SgdiskDisk.sizeBytes - 1) }
        #expect(throws: FormatError.self) { try place(primary, on: 0) }
    }

    /// Tools take the block size from the device, so 4096 needs a loop device, and that root.
    @Test(.enabled(if: geteuid() == 0, "needs root for a loop device of 4096-byte blocks"))
    func onA4096ByteBlockDeviceBothTablesAreSgdisks() throws {
        try withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("disk")
            let size: UInt64 = 64 << 20
            func withLoop<T>(_ body: (String) throws -> T) throws -> T {
                let loop = try run("losetup", ["-f", "--show", "-b", "4096", file.path])
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                defer { _ = try? run("losetup", ["-d", loop]) }
                return try body(loop)
            }
            func contents(_ loop: String, at offset: UInt64, count: Int) throws -> [UInt8] {
                try run("sync", [])
                return try URL(fileURLWithPath: loop).bytes(at: offset, count: count)
            }
            try makeSparseFile(file, sizeBytes: size)
            let (primary, backup) = try withLoop { loop in
                try run("sgdisk", ["-n", "1:256:2047", "-t", "1:ef00", "-n", "2:2048:16000", loop])
                // 16 KiB of entries are 4 blocks.
                return (
                    try contents(loop, at: 0, count: 6 * 4096), try contents(loop, at: size - 5 * 4096, count: 5 * 4096)
                )
            }
            let (gpt, warnings) = try GPT.parse(primary: primary, blockBytes: 4096, diskSizeBytes: size)
            #expect(warnings.isEmpty)
            #expect(gpt.partitions.map(\.firstLBA) == [256, 2048])
            #expect(gpt.partitions.map(\.sizeBytes) == [1792 * 4096, 13953 * 4096])
            let same = try gpt.placement(onDeviceOf: size)
            #expect(firstDifference(same.mbr + same.primary, primary) == nil)
            #expect(firstDifference(same.backup, backup) == nil)

            try FileManager.default.removeItem(at: file)
            try run("openssl", ["rand", "-out", file.path, "\(2 * size)"])
            try withLoop { loop in
                try gpt.placement(onDeviceOf: 2 * size).write(to: URL(fileURLWithPath: loop))
                try run("sync", [])
                let sgdisk = try run("sgdisk", ["-v", loop])
                #expect(sgdisk.contains("No problems found"), "\(sgdisk)")
                let sfdisk = try run("sfdisk", ["--verify", loop])
                #expect(sfdisk.contains("No errors detected"), "\(sfdisk)")
            }
        }
    }
}
