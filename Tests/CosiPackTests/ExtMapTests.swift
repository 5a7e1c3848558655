import CosiPack
import Foundation
import Testing

@testable import TestSupport

@Suite("The used blocks of ext file systems", .serialized)
struct ExtMapTests {
    static let forms: [[String]] = [
        ["mkfs.ext4", "-q", "-F"],
        ["mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "^metadata_csum,uninit_bg"],
        ["mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "^has_journal,^resize_inode,meta_bg"],
        ["mkfs.ext4", "-q", "-F", "-O", "bigalloc", "-C", "65536"],
        ["mkfs.ext4", "-q", "-F", "-O", "^64bit,sparse_super2", "-b", "2048", "-E", "num_backup_sb=2"],
        ["mkfs.ext4", "-q", "-F", "-O", "metadata_csum_seed,inline_data", "-g", "8192"],
        ["mkfs.ext3", "-q", "-F"],
        ["mkfs.ext2", "-q", "-F", "-b", "1024", "-O", "^sparse_super,^resize_inode"],
    ]

    @Test(
        "What the map of an ext file system has is enough: it checks clean and every file is there",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: forms)
    func mapIsEnough(form: [String]) throws {
        let sample = try SampleFilesystem(sizeMiB: 160, form)
        try sample.use()
        let found = try sample.examine()
        #expect(found.warnings.isEmpty)
        #expect(found.signature?.type.hasPrefix("ext") == true)
        let data = try #require(found.content?.data)
        let used = byteCount(data, of: sample.sizeBytes)
        // No more than the file system itself counts as used, but for the boot block and what lies behind the last block.
        let facts = try Facts(sample.path)
        #expect(used >= facts.usedBytes && used <= facts.usedBytes + 4096, "\(used) of \(facts.usedBytes)")
        let copy = try sample.restored(data)
        try run("e2fsck", ["-f", "-n", copy])
        try sample.expectSameFiles(copy, options: "")
    }

    @Test(
        "An ext file system that needs its journal, or has errors, is taken whole",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func uncleanIsWhole() throws {
        let sample = try SampleFilesystem(sizeMiB: 32, ["mkfs.ext4", "-q", "-F"])
        for command in ["set_super_value state 2", "feature needs_recovery"] {
            try run("debugfs", ["-w", "-R", command, sample.path])
            let found = try sample.examine()
            #expect(found.content?.data == [0..<sample.sizeBytes])
            #expect(found.warnings.count == 1)
            try run(
                "debugfs",
                ["-w", "-R", command.hasPrefix("set") ? "set_super_value state 1" : "feature -needs_recovery", sample.path])
        }
        #expect(try sample.examine().warnings.isEmpty)
    }

    @Test("What lies behind an ext file system in its partition is taken too")
    func tail() throws {
        let sample = try SampleFilesystem(sizeMiB: 32, ["mkfs.ext4", "-q", "-F"])
        try run("resize2fs", [sample.path, "20M"])
        try run("truncate", ["--size", "\(sample.sizeBytes)", sample.path])
        let data = try #require(try sample.examine().content?.data)
        #expect(data.last?.upperBound == sample.sizeBytes && (data.last?.lowerBound ?? .max) <= 20 << 20)
        #expect(byteCount(data, of: sample.sizeBytes) < 28 << 20)
    }

    @Test("A superblock without a checksum cannot turn copies of itself into free blocks")
    func copiesOfTheSuperblock() throws {
        let sample = try SampleFilesystem(sizeMiB: 64, ["mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "^metadata_csum,uninit_bg"])
        let before = try #require(try sample.examine().content?.data)
        let file = try FileHandle(forUpdating: URL(filePath: sample.path))
        // s_feature_compat gets sparse_super2, by which the copies would lie elsewhere.
        try file.seek(toOffset: 1024 + 93)
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: 1024 + 93)
        try file.write(contentsOf: [byte ^ 2])
        let data = try #require(try sample.examine().content?.data)
        #expect(missing(before, in: data) == 0)
    }

    @Test("Turned bits in an ext file system's structures never make the map smaller", arguments: [forms[0], forms[1], forms[3]])
    func mutations(form: [String]) throws {
        let sample = try SampleFilesystem(sizeMiB: 64, form)
        let before = try #require(try sample.examine().content?.data)
        let blockBytes = try Facts(sample.path).blockBytes
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = SplitMix64(state: seed)
        let file = try FileHandle(forUpdating: URL(filePath: sample.path))
        for _ in 0..<300 {
            // The superblock, the group descriptors, and the bitmaps of the first groups lie here.
            let offset = 1024 + UInt64(random.magnitude(Int(80 * blockBytes)))
            try file.seek(toOffset: offset)
            let byte = try #require(try file.read(upToCount: 1)?.first)
            try file.seek(toOffset: offset)
            try file.write(contentsOf: [byte ^ (1 << UInt8.random(in: 0..<8, using: &random))])
            let data = try #require(try sample.examine().content?.data)
            #expect(missing(before, in: data) == 0, "a bit of byte \(offset)")
            try file.seek(toOffset: offset)
            try file.write(contentsOf: [byte])
        }
    }
}

/// What dumpe2fs(8) says.
private struct Facts {
    let blockBytes: UInt64
    let usedBytes: UInt64

    init(_ path: String) throws {
        let text = try run("dumpe2fs", ["-h", path])
        func number(_ name: String) throws -> UInt64 {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + ":") })
            return try #require(UInt64(line.split(separator: " ").last ?? ""))
        }
        blockBytes = try number("Block size")
        usedBytes = try (number("Block count") - number("Free blocks")) * blockBytes
    }
}
