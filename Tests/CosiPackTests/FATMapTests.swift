import CosiPack
import Foundation
import Testing

@testable import TestSupport

@Suite("The used clusters of FAT", .serialized)
struct FATMapTests {
    static let forms: [(UInt64, [String])] = [
        (40, ["mkfs.vfat", "-F", "12", "-s", "32"]), (40, ["mkfs.vfat", "-F", "16"]), (64, ["mkfs.vfat", "-F", "32", "-s", "1"]),
        (300, ["mkfs.vfat", "-F", "32", "-S", "4096", "-s", "1"]),
    ]

    @Test("What the map of a FAT file system has is enough: it checks clean and every file is there", arguments: forms)
    func mapIsEnough(sizeMiB: UInt64, form: [String]) throws {
        let sample = try SampleFilesystem(sizeMiB: sizeMiB, form)
        // By mtools: not every kernel knows FAT.
        try SampleFilesystem.shell(
            """
            export MTOOLS_SKIP_CHECK=1; cd '\(sample.other(""))'; mkdir -p tree/a/b
            for i in $(seq 60); do head -c $((i * 1397)) /dev/urandom > tree/f$i; done
            for i in 1 2 3; do head -c 2000000 /dev/urandom > tree/a/b/large$i; done
            mcopy -s -i image tree ::
            for i in $(seq 1 3 60); do mdel -i image ::tree/f$i; rm tree/f$i; done
            mdel -i image ::tree/a/b/large2; rm tree/a/b/large2
            head -c 700000 /dev/urandom > tree/a/last; mcopy -i image tree/a/last ::tree/a/
            """)
        let found = try sample.examine()
        #expect(found.warnings.isEmpty && found.signature?.type == "vfat")
        #expect(found.signature?.uuid?.utf8.count == 9)
        let data = try #require(found.content?.data)
        #expect(byteCount(data, of: sample.sizeBytes) < 20 << 20)
        let copy = try sample.restored(data)
        try run("fsck.vfat", ["-n", copy])
        try SampleFilesystem.shell(
            "export MTOOLS_SKIP_CHECK=1; cd '\(sample.other(""))'; mkdir back; mcopy -s -i '\(copy)' ::tree back/; diff -r tree back/tree"
        )
    }

    @Test("A FAT file system that was not unmounted cleanly is taken whole")
    func uncleanIsWhole() throws {
        let sample = try SampleFilesystem(sizeMiB: 64, ["mkfs.vfat", "-F", "32", "-s", "1"])
        #expect(try sample.examine().warnings.isEmpty)
        try flipBits(1, at: 65, of: sample.path)
        let found = try sample.examine()
        #expect(found.content?.data == [0..<sample.sizeBytes] && found.warnings.count == 1)
    }

    @Test("Turned bits in a FAT file system's structures never make the map smaller than fsck.fat counts", arguments: forms[..<3])
    func mutations(sizeMiB: UInt64, form: [String]) throws {
        let sample = try SampleFilesystem(sizeMiB: sizeMiB, form)
        for name in ["one", "two", "three"] {
            let file = sample.other(name)
            try run("truncate", ["--size", "1500000", file])
            try run("mcopy", ["-i", sample.path, file, "::"])
        }
        try run("mdel", ["-i", sample.path, "::two"])
        let before = try #require(try sample.examine().content?.data)
        #expect(byteCount(before, of: sample.sizeBytes) < 20 << 20)
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = SplitMix64(state: seed)
        for round in 0..<90 {
            // The boot sector's numbers, and the tables.
            let offset = round % 3 == 0 ? UInt64(random.magnitude(89)) : UInt64(random.magnitude(200_000))
            let mask = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try flipBits(mask, at: offset, of: sample.path)
            defer { try? flipBits(mask, at: offset, of: sample.path) }
            let found = try sample.examine()
            let data = try #require(found.content?.data)
            guard missing(before, in: data) > 0 else { continue }
            // The numbers of FAT12 and FAT16 have no second copy: then the file system itself lies elsewhere now.
            let used = try Self.usedBytes(sample.path)
            #expect(
                sizeMiB < 64 && byteCount(data, of: sample.sizeBytes) >= used, "bits \(mask) of byte \(offset): \(found.warnings)"
            )
        }
    }

    /// What fsck.fat(8) counts, whatever else it finds.
    private static func usedBytes(_ path: String) throws -> UInt64 {
        let text = try run("sh", ["-c", "fsck.fat -n -v '\(path)' || true"])
        func number(_ pattern: Regex<(Substring, Substring)>) -> UInt64? { text.firstMatch(of: pattern).flatMap { UInt64($0.1) } }
        return try #require(number(#/(\d+)\/\d+ clusters/#)) * #require(number(#/(\d+) bytes per cluster/#))
    }
}

func flipBits(_ mask: UInt8, at offset: UInt64, of path: String) throws {
    let file = try FileHandle(forUpdating: URL(filePath: path))
    try file.seek(toOffset: offset)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: offset)
    try file.write(contentsOf: [byte ^ mask])
}
