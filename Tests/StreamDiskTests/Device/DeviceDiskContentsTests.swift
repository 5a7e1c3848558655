import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

/// What is on a disk, told by libblkid, of what standard tools made.
@Suite(.timeLimit(.minutes(10))) struct DeviceDiskContentsTests {
    private func look(_ path: String) throws -> DiskContents? {
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK)
        return DiskContents.look(at: file.number)
    }

    private func withFile<Value>(sizeBytes: UInt64 = 32 << 20, _ body: (String) throws -> Value) throws -> Value {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "disk.raw").path
            try run("truncate", ["-s", "\(sizeBytes)", path])
            return try body(path)
        }
    }

    @Test("Each partition's file system and label are found though the kernel knows of no partition.")
    func partitions() throws {
        try withFile { path in
            try OldDisk.make(path, sizeBytes: nil)
            let contents = try #require(try look(path))
            #expect(contents.tableType == "gpt" && contents.partitionCount == 2 && contents.signature == nil)
            #expect(contents.partitions.map(\.signature?.type) == ["vfat", "ext4"])
            #expect(contents.partitions.map(\.signature?.label) == ["OLDBOOT", "precious"])
            #expect(contents.partitions.allSatisfy { $0.signature?.uuid != nil })
            #expect(contents.partitions.map(\.offsetBytes) == [1 << 20, 5 << 20])
        }
    }

    @Test("An MBR with logical partitions, swap among them.")
    func dosTable() throws {
        try withFile { path in
            try OldDisk.table(
                "label: dos\nstart=2048, size=8192, type=82\nstart=10240, type=5\nstart=12288, size=8192\n", path)
            try OldDisk.put("mkswap -q -L resting \"$1\"", at: 1 << 20, of: path)
            let contents = try #require(try look(path))
            #expect(contents.tableType == "dos")
            #expect(contents.partitions.map(\.number) == [1, 5])
            #expect(contents.partitions.first?.signature?.type == "swap")
            #expect(contents.partitions.first?.signature?.label == "resting")
            #expect(contents.partitions.last?.signature == nil)
        }
    }

    @Test("A file system on the whole disk, and an encrypted volume.")
    func wholeDisks() throws {
        try withFile { path in
            try run("mkfs.ext4", ["-q", "-F", "-L", "alone", path])
            let contents = try #require(try look(path))
            #expect(contents.tableType == nil && contents.signature?.type == "ext4" && contents.signature?.label == "alone")
        }
        try withFile { path in
            // LUKS2 On-Disk Format Specification, section 2.1: magic and version.
            let file = try FileHandle(forWritingTo: URL(filePath: path))
            try file.write(contentsOf: Data(Array("LUKS".utf8) + [0xba, 0xbe, 0, 2]))
            try file.close()
            #expect(try look(path)?.signature?.type == "crypto_LUKS")
        }
    }

    @Test("A GPT of 4096-byte blocks in a regular file, which does not tell its block size.")
    func largeBlocks() throws {
        let image = try SampleImage.make("--size 48M --esp-mib 20 --style mkcosi --lba 4096")
        let contents = try #require(try look(image.rawPath))
        let regions = image.manifest.regions.sorted { $0.number < $1.number }
        #expect(contents.tableType == "gpt" && contents.partitions.map(\.number) == regions.map(\.number))
        #expect(contents.partitions.map(\.offsetBytes) == regions.map(\.offset))
        #expect(contents.partitions.allSatisfy { $0.signature != nil })
    }

    @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: [512, 4096])
    func blockDevices(blockBytes: Int) throws {
        try LoopDevice.with(sizeBytes: 32 << 20, sectorSize: blockBytes) { device in
            try OldDisk.make(device.path, sizeBytes: nil)
            let contents = try #require(try look(device.path))
            #expect(contents.partitions.map(\.signature?.label) == ["OLDBOOT", "precious"])
        }
    }

    @Test("Many partitions are counted, and only the first of them looked into.")
    func manyPartitions() throws {
        try withFile(sizeBytes: 256 << 20) { path in
            try OldDisk.table("label: gpt\n" + String(repeating: "size=1MiB\n", count: 120), path)
            let contents = try #require(try look(path))
            #expect(contents.partitionCount == 120 && contents.partitions.count == DiskContents.partitionsMax)
        }
    }

    @Test("An empty disk, random bytes and half a table are no known content, and no error.")
    func nothingKnown() throws {
        try withFile { path in
            #expect(try #require(try look(path)).isUnknown)
            try RandomFile.copy(RandomFile.atLeast(sizeBytes: 32 << 20), to: path, sizeBytes: 32 << 20)
            #expect(try #require(try look(path)).isUnknown)
        }
        try withFile { path in
            try OldDisk.table("label: gpt\nsize=4MiB\n", path)
            // Both headers are gone; the protective MBR stays.
            for seek in [1, (32 << 11) - 1] {
                try run("dd", ["if=/dev/zero", "of=\(path)", "bs=512", "count=1", "seek=\(seek)", "conv=notrunc", "status=none"])
            }
            #expect(try look(path)?.tableType == "PMBR")
        }
        try withFile(sizeBytes: 0) { path in
            let contents = try look(path)
            #expect(contents == nil || contents?.isUnknown == true)
        }
        let none = try look("/dev/null")
        #expect(none == nil)
    }

    @Test(.enabled(if: FaultyBlockDevice.isAvailable, FaultyBlockDevice.needs))
    func aDiskThatDoesNotAnswerIsNotWaitedForLong() throws {
        try FaultyBlockDevice.with(sizeBytes: 32 << 20, .script(read: "while [ -e slow ]; do sleep 0.1; done")) { disk in
            let slow = disk.folder + "/slow"
            try Data().write(to: URL(filePath: slow))
            defer { try? FileManager.default.removeItem(atPath: slow) }
            let begin = Instant.now
            #expect(try look(disk.path) == nil)
            #expect(Instant.now.seconds(since: begin) < 4)
        }
    }
}
