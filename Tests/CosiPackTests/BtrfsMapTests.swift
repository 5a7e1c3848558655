import CosiPack
import Foundation
import Testing

@testable import TestSupport

@Suite("The used bytes of btrfs", .serialized)
struct BtrfsMapTests {
    static let forms: [[String]] = [
        ["mkfs.btrfs", "-q", "-f"], ["mkfs.btrfs", "-q", "-f", "-m", "single", "-n", "4096"], ["mkfs.btrfs", "-q", "-f", "-M"],
    ]

    @Test("What the map of btrfs has is enough: it checks clean and every file is there", arguments: forms)
    func mapIsEnough(form: [String]) throws {
        // Filled as it is made: not every kernel knows btrfs.
        let folder = try TemporaryFolder()
        try SampleFilesystem.shell(
            """
            cd '\(folder.path)'; mkdir -p tree/a/b
            for i in $(seq 80); do head -c $((i * 797)) /dev/urandom > tree/f$i; done
            for i in 1 2 3; do head -c 2000000 /dev/urandom > tree/a/b/large$i; done
            ln -s f1 tree/link
            """)
        let sample = try SampleFilesystem(sizeMiB: 300, form + ["--rootdir", folder.path + "/tree"])
        if try sample.canMount() { try sample.use() }
        let found = try sample.examine()
        #expect(found.warnings.isEmpty && found.signature?.type == "btrfs")
        let data = try #require(found.content?.data)
        let used = byteCount(data, of: sample.sizeBytes)
        #expect(used > 6 << 20 && used < 80 << 20)
        let copy = try sample.restored(data)
        try run("btrfs", ["check", "--check-data-csum", copy])
        let back = try TemporaryFolder()
        try run("btrfs", ["restore", "-S", copy, back.path])
        let files = try SampleFilesystem.list(back.path)
        for name in ["f1", "f2", "f80", "a/b/large3"] where try !sample.canMount() {
            try run("cmp", [folder.path + "/tree/" + name, back.path + "/" + name])
        }
        #expect(files > 80)
    }

    @Test("Turned bits in btrfs's structures never make the map smaller")
    func mutations() throws {
        let sample = try SampleFilesystem(sizeMiB: 300, Self.forms[0])
        let before = try #require(try sample.examine().content?.data)
        #expect(byteCount(before, of: sample.sizeBytes) < 20 << 20)
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = SplitMix64(state: seed)
        let nodes = before.filter { $0.lowerBound >= 1 << 20 && $0.count <= 1 << 20 }
        for round in 0..<150 {
            var offset = 65536 + UInt64(random.magnitude(4095))
            if round % 2 == 0, let node = nodes.randomElement(using: &random) { offset = UInt64.random(in: node, using: &random) }
            let mask = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try flipBits(mask, at: offset, of: sample.path)
            let data = try #require(try sample.examine().content?.data)
            #expect(missing(before, in: data) == 0, "bits \(mask) of byte \(offset)")
            try flipBits(mask, at: offset, of: sample.path)
        }
    }
}
