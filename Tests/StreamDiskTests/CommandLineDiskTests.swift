import Foundation
import Glibc
import Testing

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
            try run("cmp", [
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
