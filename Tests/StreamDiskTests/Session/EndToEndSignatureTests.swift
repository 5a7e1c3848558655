import Foundation
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// A disk of an array, of a file system or of a pool says so in places that no image may reach: what is left there owns the
    /// disk after the run. wipefs(8) is the judge of what is there.
    @Suite struct SignatureTests {
        /// A RAID superblock of version 1.0 (md(4)), which stands 8 KiB or more before the end.
        private static let superblock = """
            import struct, sys
            path, start, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
            sector = (size // 512 - 16) & ~7
            block = struct.pack("<IIII16s32sQIIQIII", 0xa92b4efc, 1, 0, 0, b"\\x11" * 16, b"host:old", 0, 1, 0, sector, 0, 2, 0)
            block = block.ljust(128, b"\\0") + struct.pack("<QQQ", 0, sector, sector)
            with open(path, "r+b") as file:
                file.seek(start + sector * 512)
                file.write(block.ljust(256, b"\\0"))
            """

        private func signatures(_ path: String, _ start: UInt64, _ size: UInt64, in folder: URL) throws -> [String] {
            let part = folder.appending(path: "part").path
            try run(
                "dd",
                [
                    "if=\(path)", "of=\(part)", "iflag=skip_bytes,count_bytes", "skip=\(start)", "count=\(size)", "bs=1M",
                    "conv=sparse", "status=none",
                ])
            let found = try run("wipefs", ["--no-act", "--noheadings", "--output", "TYPE", part])
            return found.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.sorted()
        }

        @Test("A RAID superblock at the end of disk or partition, and btrfs in the gap before the first partition, are gone")
        func areGone() throws {
            let image = try SampleImage.make("--size 32M --esp-mib 4 --data-mib 4 --style mkcosi --level 3")
            let root = try image.region("root")
            let (start, size) = (root.offset, (root.lastLba - root.firstLba + 1) * image.manifest.lba)
            // The image does not reach the superblock's place.
            try #require(root.uncompressedSize < size - 64 << 10)
            try withTemporaryFolder { folder in
                let (path, diskBytes) = (folder.path + "/disk.raw", image.diskBytes + (8 << 20))
                try run("truncate", ["-s", "\(diskBytes)", path])
                try run("mkfs.btrfs", ["--quiet", "--mixed", path])
                try run("python3", ["-c", Self.superblock, path, "0", "\(diskBytes)"])
                try run("python3", ["-c", Self.superblock, path, "\(start)", "\(size)"])
                #expect(try signatures(path, 0, diskBytes, in: folder) == ["btrfs", "linux_raid_member"])
                #expect(try signatures(path, start, size, in: folder) == ["linux_raid_member"])
                try run("cp", [path, path + ".was"])

                _ = try stream(image.path, to: path)
                #expect(Set(try signatures(path, 0, diskBytes, in: folder)) == ["gpt", "PMBR"])
                #expect(try signatures(path, start, size, in: folder) == ["ext4"])
                try image.expectStreamed(to: path, was: path + ".was")
            }
        }

        @Test("A partition without an image keeps what it holds, to its last byte")
        func keepsPartitionsWithoutImage() throws {
            let image = try SampleImage.make("--size 32M --esp-mib 4 --data-mib 4 --style mkcosi --level 3", imageless: "data")
            let whole = try SampleImage.make("--size 32M --esp-mib 4 --data-mib 4 --style mkcosi --level 3")
            let data = try whole.region("data")
            let size = (data.lastLba - data.firstLba + 1) * whole.manifest.lba
            try withTemporaryFolder { folder in
                let path = folder.path + "/disk.raw"
                try RandomFile.copy(
                    try RandomFile.atLeast(sizeBytes: image.diskBytes), to: path, sizeBytes: image.diskBytes)
                try run("python3", ["-c", Self.superblock, path, "\(data.offset)", "\(size)"])
                try run("cp", [path, path + ".was"])
                _ = try stream(image.path, to: path)
                #expect(try signatures(path, data.offset, size, in: folder) == ["linux_raid_member"])
                try run("cmp", ["--bytes=\(size)", "--ignore-initial=\(data.offset)", path, path + ".was"])
            }
        }
    }
}
