import CLinux
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mib: UInt64 = 1 << 20

/// Which disk is taken where none is named: the best one or none, whatever stands in the way at the moment.
@Suite(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs)) struct DeviceChoiceTests {
    /// A made-up host with these loop devices as its disks sda, sdb …, each 1 MiB larger than the one before.
    ///
    /// - Parameter ownNodes: makes new device nodes instead of links into /dev. Nobody else opens or locks those.
    private func withHost(
        disks count: Int, more: [String: String] = [:], ownNodes: Bool = false,
        _ body: (FakeTree, [LoopDevice]) throws -> Void
    ) throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            var devices: [LoopDevice] = []
            defer { for device in devices { device.remove() } }
            for index in 0..<count {
                let device = try LoopDevice(sizeBytes: mib * UInt64(index + 1))
                devices.append(device)
                let name = "sd\(["a", "b", "c"][index])"
                try tree.disk(name, device.number, sectors: 2048 * UInt64(index + 1), more: more)
                if ownNodes {
                    try tree.node("dev/\(name)", device.number)
                } else {
                    try tree.link("dev/\(name)", to: device.path)
                }
            }
            try body(tree, devices)
        }
    }

    private func openSmallest(
        _ tree: FakeTree, source: LocalOrigin? = nil, access: TargetDisk.Access = .readWrite
    ) throws -> TargetDisk {
        try TargetDisk.openSmallest(
            requirement: DiskRequirement(sizeBytes: mib, blockBytes: 512), access: access, source: source,
            hosts: tree.hosts)
    }

    private func refusal(_ tree: FakeTree, source: LocalOrigin? = nil) -> DiskSelectionError? {
        #expect(throws: DiskSelectionError.self) { _ = try openSmallest(tree, source: source) }
    }

    @Test("Of two runs at once the second is busy, and takes no other disk.")
    func twoRunsAtOnce() throws {
        try withHost(disks: 2) { tree, devices in
            let first = try openSmallest(tree)
            #expect(first.resolvedPath == devices[0].path)
            #expect(first.considered.map(\.disk.name) == ["sda", "sdb"])
            #expect(first.considered.map(\.fits) == [true, true])
            let error = refusal(tree)
            #expect((error?.kind, error?.isChosen) == (.busy, true))
            #expect(error?.path == tree.root.path + "/dev/sda")
            #expect(StreamFault.disk(try #require(error)).description.contains("wait for it, or name a disk"))
            try first.close()
            try openSmallest(tree).close()
        }
    }

    @Test("A disk that somebody has open exclusively is waited for by nobody else than who asks again.")
    func theBestIsOpenExclusively() throws {
        try withHost(disks: 2) { tree, devices in
            let other = try Descriptor(opening: devices[0].path, O_RDONLY | O_EXCL)
            let error = refusal(tree)
            #expect((error?.kind, error?.obstacles) == (.busy, [.openedExclusively]))
            try other.close()
            try openSmallest(tree).close()
        }
    }

    @Test("A best disk without a node, or with another's node, ends the run.")
    func theBestHasNoNode() throws {
        try withHost(disks: 2) { tree, devices in
            let node = tree.root.appending(path: "dev/sda")
            try FileManager.default.removeItem(at: node)
            let missing = refusal(tree)
            #expect((missing?.kind, missing?.path) == (.notFound, node.path))
            #expect(missing?.reason.contains("no node") == true)
            try tree.link("dev/sda", to: devices[1].path)
            #expect(refusal(tree)?.kind == .changed)
            try FileManager.default.removeItem(at: node)
            // Somebody's dd: a file where the node should be, large enough.
            try Data(count: 2 << 20).write(to: node)
            #expect(refusal(tree)?.kind == .changed)
        }
    }

    @Test("A list of disks holds no disk, and tells of locks without opening.")
    func listingOpensNothing() throws {
        // Other tests and udev open the nodes in /dev; a watch on those would see that, too.
        try withHost(disks: 2, ownNodes: true) { tree, _ in
            let nodes = ["sda", "sdb"].map { tree.root.path + "/dev/" + $0 }
            // inotify(7) sees every opening of the nodes.
            let watch = inotify_init1(Int32(IN_NONBLOCK))
            defer { close(watch) }
            for node in nodes { #expect(unsafe inotify_add_watch(watch, node, UInt32(IN_OPEN)) >= 0) }
            #expect(tree.hosts.list().map(\.obstacles) == [[], []])
            var event = [UInt8](repeating: 0, count: 4096)
            #expect(unsafe read(watch, &event, event.count) == -1, "a disk was opened")
            // /proc/locks names a lock by its node's file system and inode.
            try tree.link("proc/locks", to: "/proc/locks")
            let lock = try Descriptor(opening: nodes[1], O_RDONLY)
            #expect(unsafe read(watch, &event, event.count) > 0, "the watch sees nothing")
            #expect(cl_flock(lock.number, LOCK_EX | LOCK_NB) == 0)
            #expect(tree.hosts.list().map(\.obstacles) == [[], [.locked]])
            #expect(
                HostDisks.consider(tree.hosts.list(), for: DiskRequirement(sizeBytes: 2 * mib, blockBytes: 512))
                    .map(\.fits) == [false, true])
            try lock.close()
        }
    }

    @Test("A run holds every path to its disk.")
    func bothPathsAreHeld() throws {
        try withHost(disks: 2, more: ["device/wwid": "naa.5000c500a1b2c3d4"]) { tree, devices in
            let first = try openSmallest(tree)
            for device in devices {
                let other = try Descriptor(opening: device.path, O_RDONLY)
                #expect(cl_flock(other.number, LOCK_SH | LOCK_NB) == -1)
                #expect(throws: SystemError(EBUSY)) { _ = try Descriptor(opening: device.path, O_RDONLY | O_EXCL) }
            }
            #expect(refusal(tree)?.kind == .busy)
            try first.close()
            // By the other path alone, too.
            let other = try Descriptor(opening: devices[1].path, O_RDONLY)
            #expect(cl_flock(other.number, LOCK_SH) == 0)
            #expect(refusal(tree)?.kind == .busy)
            try other.close()
        }
    }

    @Test("The disk that the image is read from is never chosen.")
    func theSourceIsNotChosen() throws {
        try withHost(disks: 2) { tree, devices in
            let origin = try origin(devices[0].path)
            let target = try openSmallest(tree, source: origin)
            #expect(target.resolvedPath == devices[1].path)
            #expect(target.considered.map(\.reasons) == [[.isSource], []])
        }
    }

    @Test("A disk replaced between choice and opening is not written, whatever sysfs said before.")
    func theSequenceIsLookedAtAgain() throws {
        try withHost(disks: 1) { tree, devices in
            let real = try #require(HostDisks().list().first { $0.path == devices[0].path }?.sequence)
            try tree.write("sys/class/block/sda/diskseq", "\(real)\n")
            try openSmallest(tree).close()
            // sysfs and the opened device disagree.
            try tree.write("sys/class/block/sda/diskseq", "\(real + 1)\n")
            #expect(refusal(tree)?.kind == .changed)
        }
    }

    @Test("A disk that wants memory aligned further than ours is refused, not failed in mid-run.")
    func alignmentIsChecked() throws {
        try withHost(disks: 1, more: ["queue/dma_alignment": "8191"]) { tree, _ in
            let error = refusal(tree)
            #expect(error?.kind == .alignment)
            #expect(error?.reason.contains("8192") == true)
            try tree.write("sys/class/block/sda/queue/dma_alignment", "4095\n")
            try openSmallest(tree).close()
        }
    }
}

/// What a source at `path` would say of itself.
func origin(_ path: String) throws -> LocalOrigin {
    let file = try Descriptor(opening: path, O_RDONLY)
    return LocalOrigin(try file.status())
}
