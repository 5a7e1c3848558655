import CLinux
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mib: UInt64 = 1 << 20

/// What opening it fails with; nil when it opens.
private func openingFails(
    _ path: String, _ sizeBytes: UInt64, blockSize: Int = 512, access: TargetDisk.Access = .readWrite,
    hosts: HostDisks = HostDisks(), chosen: DiskInfo? = nil
) -> DiskSelectionError? {
    do throws(DiskSelectionError) {
        let target = try Opening(
            path: path, requirement: DiskRequirement(sizeBytes: sizeBytes, blockBytes: blockSize),
            access: access, hosts: hosts, chosen: chosen, lockTimeoutSeconds: 0.2, exclusiveTimeoutSeconds: 0.2
        ).open()
        _ = target.fileDescriptor
        return nil
    } catch {
        return error
    }
}

private func open(
    _ path: String, _ sizeBytes: UInt64, blockSize: Int = 512, access: TargetDisk.Access = .readWrite
) throws -> TargetDisk {
    try TargetDisk.open(
        path: path, requirement: DiskRequirement(sizeBytes: sizeBytes, blockBytes: blockSize), access: access)
}

@Suite(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
struct DeviceTargetDiskTests {
    @Test(arguments: [512, 4096])
    func aLoopDeviceOpensDirectAndLocked(sectorSize: Int) throws {
        try LoopDevice.with(sizeBytes: 8 * mib, sectorSize: sectorSize) { device in
            let target = try open(device.path, 8 * mib, blockSize: sectorSize)
            #expect((target.path, target.resolvedPath) == (device.path, device.path))
            #expect(target.isDirect == true)
            #expect((target.sizeBytes, target.blockBytes) == (8 * mib, sectorSize))
            #expect(target.memoryAlignmentBytes >= sectorSize)
            #expect(target.notes == [])
            #expect(target.info?.name == device.name)
            #expect(fcntl(target.fileDescriptor, F_GETFL) & (O_ACCMODE | cl_O_DIRECT) == O_RDWR | cl_O_DIRECT)
            #expect(fcntl(target.fileDescriptor, F_GETFL) & O_NONBLOCK == 0)
            #expect(fcntl(target.fileDescriptor, F_GETFD) & FD_CLOEXEC == FD_CLOEXEC)
            // Nobody else gets it while it is open: neither its lock nor an exclusive opening.
            let locker = try Descriptor(opening: device.path, O_RDONLY)
            #expect(cl_flock(locker.number, LOCK_SH | LOCK_NB) == -1)
            #expect(throws: SystemError(EBUSY)) { _ = try Descriptor(opening: device.path, O_RDONLY | O_EXCL) }
            try target.close()
            // A process that a test beside this one is just starting has a copy of every descriptor until it becomes its program.
            var isLocked = false
            for _ in 0..<300 where !isLocked {
                isLocked = cl_flock(locker.number, LOCK_EX | LOCK_NB) == 0
                if !isLocked { usleep(10_000) }
            }
            #expect(isLocked)
            _ = try Descriptor(opening: device.path, O_RDONLY | O_EXCL)
        }
    }

    @Test func aLinkLeadsToTheDisk() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            try withTemporaryFolder { folder in
                let link = folder.appending(path: "by-id").path
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: device.path)
                let target = try open(link, mib)
                #expect((target.path, target.resolvedPath) == (link, device.path))
                #expect(target.info?.path == device.path)
            }
        }
    }

    @Test func aDiskAnotherRunHoldsIsBusyUntilItLetsGo() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            let first = try open(device.path, mib)
            for access in [TargetDisk.Access.readWrite, .readOnly] {
                let error = openingFails(device.path, mib, access: access)
                #expect(error?.kind == .busy)
                #expect(error?.path == device.path)
            }
            try first.close()
            #expect(openingFails(device.path, mib) == nil)
        }
    }

    @Test func aLockHeldForAMomentIsWaitedFor() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            // As udev does while it looks at a disk.
            let locker = try Descriptor(opening: device.path, O_RDONLY)
            #expect(cl_flock(locker.number, LOCK_SH | LOCK_NB) == 0)
            let number = locker.number
            let thread = try WorkerThread(name: "unlock") {
                usleep(300_000)
                _ = cl_flock(number, LOCK_UN)
            }
            let target = try open(device.path, mib)
            thread.join()
            #expect(cl_flock(locker.number, LOCK_SH | LOCK_NB) == -1)
            try target.close()
        }
    }

    @Test func aDiskOpenedExclusivelyIsInUse() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            let other = try Descriptor(opening: device.path, O_RDONLY | O_EXCL)
            #expect(
                openingFails(device.path, mib)
                    == DiskSelectionError(
                        .inUse, path: device.path, reason: DiskRejection.openedExclusively.description,
                        obstacles: [.openedExclusively]))
            try other.close()
            #expect(openingFails(device.path, mib) == nil)
        }
    }

    @Test func aMountedDiskIsRefusedAndItsFilesStay() throws {
        try LoopDevice.with(sizeBytes: 16 * mib) { device in
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", device.path])
                try run("mount", [device.path, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                let file = folder.appending(path: "file")
                let text = String(repeating: "kept\n", count: 10_000)
                try text.write(to: file, atomically: false, encoding: .utf8)
                for access in [TargetDisk.Access.readWrite, .readOnly] {
                    let error = openingFails(device.path, mib, access: access)
                    #expect(error?.kind == .inUse)
                    #expect(error?.reason == "in use: \(device.name) is mounted on \(folder.path)")
                }
                try run("umount", [folder.path])
                try run("fsck.ext4", ["-f", "-n", device.path])
                try run("mount", [device.path, folder.path])
                #expect(try String(contentsOf: file, encoding: .utf8) == text)
            }
        }
    }

    @Test func aPartitionIsRefusedAndOneThatIsMountedBlocksItsDisk() throws {
        try LoopDevice.with(sizeBytes: 32 * mib, partitions: true) { device in
            let partition = device.path + "p1"
            // addpart counts in sectors of 512 bytes. It needs no table on the disk and no support for one in the
            // kernel.
            try run("addpart", [device.path, "1", "2048", "32768"])
            defer { _ = try? run("delpart", [device.path, "1"]) }
            let isThere = FileManager.default.fileExists(atPath: partition)
            #expect(isThere)
            let error = openingFails(partition, mib)
            #expect(error?.kind == .notADisk)
            #expect(error?.reason == "\(device.name)p1 is a partition, not a whole disk")
            #expect(openingFails(device.path, mib) == nil)
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", partition])
                try run("mount", [partition, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                let inUse = openingFails(device.path, mib)
                #expect(inUse?.reason == "in use: \(device.name)p1 is mounted on \(folder.path)")
                #expect(HostDisks().partitions(of: device.name).count == 1)
            }
        }
    }

    @Test func aReadOnlyDiskIsUnusable() throws {
        try LoopDevice.with(sizeBytes: mib, readOnly: true) { device in
            for access in [TargetDisk.Access.readWrite, .readOnly] {
                #expect(
                    openingFails(device.path, mib, access: access)
                        == DiskSelectionError(.readOnly, path: device.path, reason: "read-only", obstacles: [.readOnly]))
            }
        }
    }

    @Test func oneBlockTooSmallIsTooSmall() throws {
        try LoopDevice.with(sizeBytes: mib - 512) { device in
            let error = openingFails(device.path, mib)
            #expect(error?.kind == .tooSmall)
            #expect(
                error?.reason
                    == "too small: 1.0 MiB (1048576 bytes) needed, it has 1023.5 KiB (1048064 bytes)")
            #expect(openingFails(device.path, mib - 512) == nil)
        }
    }

    @Test(arguments: [(512, 4096), (4096, 512)])
    func anotherBlockSizeThanTheImagesIsRefused(has: Int, need: Int) throws {
        try LoopDevice.with(sizeBytes: mib, sectorSize: has) { device in
            let error = openingFails(device.path, mib, blockSize: need)
            #expect(error?.kind == .blockSize)
            #expect(
                error?.reason == "wrong logical block size: the image is made for \(need) bytes, it has \(has)")
        }
    }

    @Test func aDiskThatIsNotTheOneChosenIsRefused() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            let number = try #require(DeviceNumber(device.number))
            var chosen = try #require(HostDisks().disk(number))
            chosen.sequence = (chosen.sequence ?? 0) + 1
            let error = openingFails(device.path, mib, chosen: chosen)
            #expect(error?.kind == .changed)
            #expect(error?.reason.contains("changed into another disk") == true)
        }
    }

    @Test func aDiskThatSysfsTellsWrongOfIsRefused() throws {
        try withTemporaryFolder { folder in
            try LoopDevice.with(sizeBytes: mib) { device in
                let tree = try FakeTree(in: folder)
                try tree.disk("sda", device.number, sectors: 4096)
                #expect(openingFails(device.path, mib, hosts: tree.hosts)?.reason.contains("changed") == true)
                try tree.disk("sdb", "1:1", sectors: 2048)
                try FileManager.default.removeItem(at: folder.appending(path: "sys/dev/block/\(device.number)"))
                #expect(openingFails(device.path, mib, hosts: tree.hosts)?.reason.contains("nothing under") == true)
            }
        }
    }

    @Test func readOnlyAccessCannotWrite() throws {
        try LoopDevice.with(sizeBytes: mib) { device in
            let target = try open(device.path, mib, access: .readOnly)
            #expect(fcntl(target.fileDescriptor, F_GETFL) & O_ACCMODE == O_RDONLY)
            #expect(target.isDirect == true)
        }
    }

    /// Opens a file on what is mounted at `folder`, writes a block there, and tells whether that was direct.
    private func writeToFile(in folder: URL, blockSize: Int) throws -> (isDirect: Bool, notes: [String]) {
        let file = folder.appending(path: "disk.raw")
        try Data(count: 1 << 20).write(to: file)
        let target = try open(file.path, mib, blockSize: blockSize)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 4096)
        defer { unsafe memory.deallocate() }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0x5a)
        let written = unsafe pwrite(target.fileDescriptor, memory.baseAddress, blockSize, off_t(3 * blockSize))
        #expect(written == blockSize)
        let found = (target.isDirect, target.notes)
        try target.close()
        return found
    }

    @Test func aFileWhoseFileSystemHasLargerBlocksIsWrittenThroughThePageCache() throws {
        try LoopDevice.with(sizeBytes: 16 * mib, sectorSize: 4096) { device in
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", device.path])
                try run("mount", [device.path, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                let small = try writeToFile(in: folder, blockSize: 512)
                #expect(!small.isDirect)
                #expect(
                    small.notes == [
                        "direct I/O on this file needs 4096-byte blocks, the image counts in 512: "
                            + "writing through the page cache"
                    ])
                let equal = try writeToFile(in: folder, blockSize: 4096)
                #expect(equal.isDirect)
                #expect(equal.notes == [])
            }
        }
    }

    @Test func aFileSystemWithoutDirectIOIsWrittenThroughThePageCache() throws {
        try withTemporaryFolder { folder in
            try run("mount", ["-t", "ramfs", "none", folder.path])
            defer { _ = try? run("umount", [folder.path]) }
            let found = try writeToFile(in: folder, blockSize: 4096)
            #expect(!found.isDirect)
            #expect(found.notes == ["the file system refuses direct I/O: writing through the page cache"])
        }
    }

    @Test func aTableIsReadAnewOrTheOutcomeSaysWhyNot() throws {
        try LoopDevice.with(sizeBytes: 4 * mib) { device in
            let target = try open(device.path, mib)
            #expect(target.rereadPartitionTable() == .unsupported(SystemError(EINVAL)))
        }
        try LoopDevice.with(sizeBytes: 4 * mib, partitions: true) { device in
            try run("sgdisk", ["-n", "1:2048:4095", device.path])
            _ = try? run("delpart", [device.path, "1"])
            let target = try open(device.path, mib)
            try #require(target.rereadPartitionTable() == .done)
            let count = target.hosts.partitions(of: device.name).count
            // One where the kernel reads GPT, none where it does not.
            #expect(count <= 1)
            #expect(FileManager.default.fileExists(atPath: device.path + "p1") == (count == 1))
            _ = try? run("delpart", [device.path, "1"])
        }
    }
}
