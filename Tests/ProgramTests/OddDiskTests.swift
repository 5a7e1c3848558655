import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Disks in use, of odd sizes and blocks, locked or gone: refused before the first write, or written right.
@Suite(.timeLimit(.minutes(10)), .enabled(if: LoopDevice.isAvailable, LoopDevice.needs)) struct OddDiskTests {
    /// Refused with this code, in one line that says all of this, and every byte is what it was.
    private func expectRefusal(
        _ code: Int32, _ image: SampleImage, disk: String, says: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = try sha256(of: disk)
        let ended = try Program.run([image.path, "--disk", disk, "--yes", "-q"])
        expectFailure(ended, code, says: says + [disk, "Nothing was written"], sourceLocation: sourceLocation)
        #expect(try sha256(of: disk) == before, sourceLocation: sourceLocation)
    }

    // MARK: In use

    @Test func swapSpace() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            try run("mkswap", [device.path])
            // The lowest priority: nothing goes there before it is switched off again.
            try run("swapon", ["--priority", "0", device.path])
            defer { _ = try? run("swapoff", [device.path]) }
            try expectRefusal(78, image, disk: device.path, says: ["in use", "\(device.name) is swap space"])
        }
    }

    @Test func aFileSystemOnOneOfItsPartitions() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes, partitions: true) { device in
            // Not by a table: not every kernel reads GPT.
            try run("addpart", [device.path, "1", "2048", "32768"])
            defer { _ = try? run("delpart", [device.path, "1"]) }
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", device.path + "p1"])
                try run("mount", ["-o", "ro", device.path + "p1", folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                try expectRefusal(
                    78, image, disk: device.path, says: ["in use: \(device.name)p1 is mounted on \(folder.path)"])
                try expectRefusal(78, image, disk: device.path + "p1", says: ["partition", "whole disk"])
            }
        }
    }

    /// Another loop device lies over a part of the disk, and a file system on that one: the kernel holds nobody off.
    @Test func aFileSystemOnALoopDeviceOverAPartOfIt() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            let part = try run("losetup", ["--find", "--show", "--offset", "1048576", device.path])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            defer { _ = try? run("losetup", ["--detach", part]) }
            try run("mkfs.ext4", ["-q", part])
            try withTemporaryFolder { folder in
                try run("mount", ["-o", "ro", part, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                let name = String(part.dropFirst("/dev/".count))
                try expectRefusal(
                    78, image, disk: device.path,
                    says: ["\(name) is mounted on \(folder.path)", "in use: \(name) is built on it"])
            }
        }
    }

    @Test("A file that a loop device lies over, by whatever name, is in use.")
    func aFileUnderALoopDevice() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            try withTemporaryFolder { folder in
                let link = folder.appending(path: "link").path
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: device.backingFile.path)
                for path in [device.backingFile.path, link] {
                    try expectRefusal(78, image, disk: path, says: ["in use", "\(device.name) is built on it"])
                }
                // Renamed, so that the kernel's name for it leads astray.
                let renamed = device.backingFile.path + ".renamed"
                try FileManager.default.moveItem(atPath: device.backingFile.path, toPath: renamed)
                defer { try? FileManager.default.moveItem(atPath: renamed, toPath: device.backingFile.path) }
                try expectRefusal(78, image, disk: renamed, says: ["in use", "\(device.name) is built on it"])
            }
        }
    }

    @Test("A file or a disk with byte locks, as a virtual machine takes them, is in use.")
    func aDiskOfAVirtualMachine() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            try withTemporaryFolder { folder in
                let file = folder.appending(path: "disk.raw").path
                try run("truncate", ["-s", "\(image.diskBytes)", file])
                for path in [file, device.path] {
                    // qemu's docs/devel: image locking: shared locks on single bytes, 100 + the permission's number.
                    let guest = unsafe open(path, O_RDONLY | O_CLOEXEC)
                    defer { close(guest) }
                    var lock = flock(l_type: Int16(F_RDLCK), l_whence: Int16(SEEK_SET), l_start: 100, l_len: 1, l_pid: 0)
                    #expect(unsafe fcntl(guest, setOpenFileLock, &lock) == 0)
                    try expectRefusal(78, image, disk: path, says: ["in use", "virtual machine"])
                }
                #expect(try Program.run([image.path, "--disk", file, "--yes", "-q"]).code == 0)
            }
        }
    }

    @Test("A partition that another program reads keeps the disk, and its table.")
    func aPartitionThatIsRead() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes, partitions: true) { device in
            try run("addpart", [device.path, "1", "2048", "32768"])
            defer { _ = try? run("delpart", [device.path, "1"]) }
            let reader = unsafe open(device.path + "p1", O_RDONLY | O_CLOEXEC)
            try expectRefusal(78, image, disk: device.path, says: ["in use", "\(device.name)p1 open"])
            close(reader)
            #expect(FileManager.default.fileExists(atPath: device.path + "p1"))
        }
    }

    @Test("After a failed run the kernel has none of the old partitions.")
    func oldPartitionsAreForgotten() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let broken = folder.appending(path: "broken.cosi").path
            var bytes = try image.bytes
            let region = try #require(image.manifest.regions.last)
            bytes[try image.fileOffset(of: region) + Int(region.compressedSize) / 2] ^= 1
            try Data(bytes).write(to: URL(filePath: broken))
            try LoopDevice.with(sizeBytes: image.diskBytes, partitions: true) { device in
                try run("addpart", [device.path, "1", "2048", "32768"])
                defer { _ = try? run("delpart", [device.path, "1"]) }
                let ended = try Program.run([broken, "--disk", device.path, "--yes", "-q"])
                expectFailure(ended, 65, says: ["no partition table"])
                #expect(!FileManager.default.fileExists(atPath: device.path + "p1"))
                let left = try FileManager.default.contentsOfDirectory(atPath: "/sys/class/block/\(device.name)")
                #expect(!left.contains("\(device.name)p1"))
            }
        }
    }

    // MARK: The source

    @Test("The source is never the target: a file, its other names, a loop device over it, either way round.")
    func theSourceIsTheTarget() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "image.cosi").path
            try run("cp", [image.path, file])
            try run("truncate", ["-s", "\(image.diskBytes + 1 << 20)", file])
            let (hard, soft) = (file + ".hard", file + ".soft")
            try FileManager.default.linkItem(atPath: file, toPath: hard)
            try FileManager.default.createSymbolicLink(atPath: soft, withDestinationPath: file)
            let loops = try (0..<2).map { _ in
                try run("losetup", ["--find", "--show", file]).trimmingCharacters(in: .whitespacesAndNewlines)
            }
            defer { for loop in loops { _ = try? run("losetup", ["--detach", loop]) } }
            let names = [file, hard, soft] + loops
            let before = try sha256(of: file)
            for source in names {
                for target in names {
                    let ended = try Program.run([source, "--disk", target, "--yes", "-q"])
                    expectFailure(ended, 78, says: [target, "the image is read from it", "Nothing was written"])
                }
            }
            #expect(try sha256(of: file) == before)
        }
    }

    @Test("An image on a partition of the target is not overwritten by itself.")
    func theSourceIsAPartitionOfTheTarget() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes + 16 << 20, partitions: true) { device in
            try run("addpart", [device.path, "1", "2048", "\(image.diskBytes / 512)"])
            defer { _ = try? run("delpart", [device.path, "1"]) }
            try run("cp", [image.path, device.path + "p1"])
            let before = try sha256(of: device.path)
            let ended = try Program.run([device.path + "p1", "--disk", device.path, "--yes", "-q"])
            expectFailure(ended, 78, says: [device.path, "the image is read from it", "Nothing was written"])
            #expect(try sha256(of: device.path) == before)
        }
    }

    /// As udev asks: a lock on the whole disk's node, from before the first write until the last is flushed.
    @Test func theDiskIsLockedForTheWholeRun() throws {
        let image = try SampleImage.make()
        let nginx = try Nginx(.init(limitRate: "400k", extra: "limit_rate_after 2m;"))
        try nginx.serve("image.cosi", image.bytes)
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            func isFree() -> Bool { (try? run("flock", ["--nonblock", "--shared", device.path, "true"])) != nil }
            #expect(isFree())
            let running = try Running([nginx.url("image.cosi"), "--disk", device.path, "--yes", "-q"], events: true)
            try running.wait(for: "the first write") { try running.phases().contains("invalidate") }
            var looks = 0
            while running.process.isRunning {
                if isFree() {
                    // It lets go a moment before it says that it is done.
                    usleep(200_000)
                    #expect(try running.phases().contains("done"), "free after \(looks) looks")
                    break
                }
                looks += 1
                // Others who ask: a second run, by whatever name, and someone who does not ask but mounts.
                if looks == 3 {
                    try withTemporaryFolder { folder in
                        let link = folder.appending(path: "link").path
                        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: device.path)
                        let second = try Program.run([image.path, "--disk", link, "--yes", "-q"])
                        expectFailure(second, 75, says: [link, "lock", "Nothing was written"])
                        #expect((try? run("mount", [device.path, folder.path])) == nil)
                    }
                }
                usleep(50_000)
            }
            #expect(looks > 10)
            #expect(try running.wait().code == 0)
            #expect(isFree())
            #expect(try tablesLeft(on: device.path).count == 4)
        }
    }

    // MARK: Sizes and blocks

    /// An image for disks of such blocks.
    private func image(_ blockBytes: Int) throws -> SampleImage {
        try SampleImage.make("--size 48M --esp-mib 20 --style mkcosi --lba \(blockBytes)")
    }

    @Test(arguments: [512, 4096]) func oneBlockTooSmall(blockBytes: Int) throws {
        let image = try image(blockBytes)
        try LoopDevice.with(sizeBytes: image.diskBytes - UInt64(blockBytes), sectorSize: blockBytes) { device in
            try expectRefusal(78, image, disk: device.path, says: ["too small", "\(image.diskBytes)"])
        }
    }

    @Test(arguments: [(512, 4096), (4096, 512)]) func otherBlocksThanTheImages(of image: Int, has: Int) throws {
        let sample = try self.image(image)
        try LoopDevice.with(sizeBytes: 2 * sample.diskBytes, sectorSize: has) { device in
            try expectRefusal(78, sample, disk: device.path, says: ["block size", "\(image)", "\(has)"])
        }
    }

    @Test func readOnly() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes, readOnly: true) { device in
            try expectRefusal(78, image, disk: device.path, says: ["read-only"])
        }
    }

    /// Past 2 TiB a count of 512-byte blocks takes more than 32 bits.
    @Test(arguments: [512, 4096]) func aDiskOfMoreThan2TiB(blockBytes: Int) throws {
        let image = try image(blockBytes)
        try LoopDevice.with(sizeBytes: 3 << 40 + 1 << 20, sectorSize: blockBytes) { device in
            try expectStreamed(image, to: device.path)
        }
    }

    @Test func aFileOfMoreThan2TiB() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "disk.raw").path
            try run("truncate", ["-s", "3T", path])
            try expectStreamed(image, to: path)
            let blocks = try FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64
            #expect(blocks == 3 << 40)
        }
    }

    /// The images, byte for byte, and both tables as sgdisk sees them: a whole comparison would read terabytes.
    private func expectStreamed(_ image: SampleImage, to path: String) throws {
        let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"])
        #expect(ended.code == 0, "\(ended.errors)")
        let verdict = try run("sgdisk", ["--verify", path])
        #expect(verdict.contains("No problems found"), "\(verdict)")
        #expect(try tablesLeft(on: path).count == 4)
        for region in image.manifest.regions {
            try run(
                "cmp",
                [
                    "--bytes=\(region.uncompressedSize)", "--ignore-initial=\(region.offset)", path, image.rawPath,
                ])
        }
    }

    // MARK: Gone

    /// A disk can be taken away between the choice and the opening. Only looked at: another test may take the number.
    @Test func aDiskThatIsGone() throws {
        let image = try SampleImage.make()
        // ioctl_loop: LOOP_CTL_ADD and LOOP_CTL_REMOVE, with a number far from those that losetup finds.
        let control = "import fcntl, os, sys; fcntl.ioctl(os.open('/dev/loop-control', os.O_RDWR), int(sys.argv[1], 16), 907)"
        try run("python3", ["-c", control, "4c80"])
        defer { _ = try? run("python3", ["-c", control, "4c81"]) }
        let empty = try Program.run([image.path, "--disk", "/dev/loop907", "--dry-run", "-q"])
        expectFailure(empty, 78, says: ["/dev/loop907", "no medium", "Nothing was written"])
        for options in [[], ["--json"]] {
            let found = try Program.run(["disks"] + options)
            #expect(found.code == 0 && !found.output.contains("loop907"), "\(found.output)")
        }
        try run("python3", ["-c", control, "4c81"])
        let gone = try Program.run([image.path, "--disk", "/dev/loop907", "--dry-run", "-q"])
        expectFailure(gone, 78, says: ["/dev/loop907", "no such", "Nothing was written"])
    }
}
