import CosiPack
import Foundation
import Testing

@testable import TestSupport

@Suite("The used blocks of XFS", .serialized)
struct XFSMapTests {
    static let forms: [[String]] = [
        ["mkfs.xfs", "-q", "-d", "agcount=4"],
        ["mkfs.xfs", "-q", "-b", "size=1024", "-m", "rmapbt=1,reflink=1"],
        ["mkfs.xfs", "-q", "-m", "crc=0"],
    ]

    @Test(
        "What the map of XFS has is enough: it checks clean and every file is there",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: forms)
    func mapIsEnough(form: [String]) throws {
        let sample = try SampleFilesystem(sizeMiB: 320, form)
        guard try sample.canMount() else { return }
        try sample.use()
        let found = try sample.examine()
        #expect(found.warnings.isEmpty && found.signature?.type == "xfs")
        let data = try #require(found.content?.data)
        // xfs_db counts what the trees hold, and the few blocks that each group keeps for them.
        let used = try sample.sizeBytes - Self.freeBytes(sample.path)
        #expect((used...used + (128 << 10)).contains(byteCount(data, of: sample.sizeBytes)))
        let copy = try sample.restored(data)
        try run("xfs_repair", ["-n", "-f", copy])
        try sample.expectSameFiles(copy, options: ",norecovery,nouuid")
    }

    @Test("XFS whose journal was not replayed is taken whole", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func uncleanIsWhole() throws {
        let sample = try SampleFilesystem(sizeMiB: 320, Self.forms[0])
        guard try sample.canMount() else { return }
        let copy = sample.other("dirty")
        try sample.mounted("loop") { mount in
            try SampleFilesystem.shell(
                "cd '\(mount)'; head -c 5000000 /dev/urandom > file; sync -f .; cp --sparse=always '\(sample.path)' '\(copy)'")
        }
        #expect(try sample.examine().warnings.isEmpty)
        try run("cp", ["--sparse=always", copy, sample.path])
        let found = try sample.examine()
        #expect(found.content?.data == [0..<sample.sizeBytes] && found.warnings.count == 1)
    }

    @Test("Turned bits in XFS's structures never make the map smaller")
    func mutations() throws {
        let sample = try SampleFilesystem(sizeMiB: 320, Self.forms[0])
        let before = try #require(try sample.examine().content?.data)
        #expect(byteCount(before, of: sample.sizeBytes) < 100 << 20)
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = SplitMix64(state: seed)
        for _ in 0..<100 {
            let group = UInt64.random(in: 0..<4, using: &random) * (80 << 20)
            let offset = group + UInt64(random.magnitude(16383))
            let mask = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try flipBits(mask, at: offset, of: sample.path)
            let data = try #require(try sample.examine().content?.data)
            #expect(missing(before, in: data) == 0, "bits \(mask) of byte \(offset)")
            try flipBits(mask, at: offset, of: sample.path)
        }
    }

    private static func freeBytes(_ path: String) throws -> UInt64 {
        let text = try run("xfs_db", ["-r", "-f", "-c", "freesp -s", "-c", "sb 0", "-c", "print blocksize", path])
        func number(_ name: String) throws -> UInt64 {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name) })
            return try #require(UInt64(line.split(separator: " ").last ?? ""))
        }
        return try number("total free blocks") * number("blocksize")
    }
}
