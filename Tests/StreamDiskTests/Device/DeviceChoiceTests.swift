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
    private func withHost(
        disks count: Int, more: [String: String] = [:], _ body: (FakeTree, [LoopDevice]) throws -> Void
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
                try tree.link("dev/\(name)", to: device.path)
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
        try withHost(disks: 2) { tree, devices in
            // inotify(7) sees every opening of the nodes.
            let watch = inotify_init1(Int32(IN_NONBLOCK))
            defer { close(watch) }
            for device in devices { _ = unsafe inotify_add_watch(watch, device.path, UInt32(IN_OPEN)) }
            #expect(tree.hosts.list().map(\.obstacles) == [[], []])
            var event = [UInt8](repeating: 0, count: 4096)
            #expect(unsafe read(watch, &event, event.count) == -1, "a disk was opened")
            // The numbers of the locks are those of the host's files.
            try tree.link("proc/locks", to: "/proc/locks")
            let lock = try Descriptor(opening: devices[1].path, O_RDONLY)
            #expect(cl_flock(lock.number, LOCK_SH) == 0)
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

/// What sysfs tells of a disk's identity and way of attachment; needs no root.
@Suite struct DeviceIdentityTests {
    private func host(_ folder: URL, mounts: [String] = []) throws -> FakeTree { try FakeTree(in: folder, mounts: mounts) }

    @Test("Two paths to one disk share their uses, by WWID or by serial, vendor and size.")
    func pathsShareUses() throws {
        try withTemporaryFolder { folder in
            let tree = try host(folder, mounts: [mountLine("8:1", "/", source: "/dev/sda1")])
            let wwid = ["device/wwid": "naa.5000c500a1b2c3d4\n"]
            try tree.disk("sda", "8:0", sectors: 4096, more: wwid)
            try tree.partition("sda1", "8:1", of: "sda")
            try tree.disk("sdb", "8:16", sectors: 4096, more: wwid)
            let named = ["device/vendor": "ACME", "device/model": "Disk", "serial": "17"]
            try tree.disk("sdc", "8:32", sectors: 4096, holders: ["dm-0"], more: named)
            try tree.disk("sdd", "8:48", sectors: 4096, more: named)
            try tree.disk("sde", "8:64", sectors: 8192, more: named)
            // What tells nothing, or zeros, is nobody's identity.
            try tree.disk("sdf", "8:80", sectors: 4096, holders: ["dm-0"])
            try tree.disk("sdg", "8:96", sectors: 4096)
            try tree.disk("sdh", "8:112", sectors: 4096, holders: ["dm-0"], more: ["wwid": "eui.0000000000000000"])
            try tree.disk("sdi", "8:128", sectors: 4096, more: ["wwid": "eui.0000000000000000"])
            let found = Dictionary(uniqueKeysWithValues: tree.hosts.list().map { ($0.name, $0.obstacles) })
            #expect(found["sdb"] == [.otherPath(name: "sda")])
            #expect(found["sdd"] == [.otherPath(name: "sdc")])
            for free in ["sde", "sdg", "sdi"] { #expect(found[free] == [], "\(free)") }
        }
    }

    @Test(
        "How a disk is attached, and disks of the network are taken only when named.",
        arguments: [
            ("sda", "sda", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0", "sata"),
            ("sda", "sda", "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0", "usb"),
            ("sda", "sda", "pci0000:00/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:0", "virtio"),
            ("sda", "sda", "pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0", "sas"),
            ("sda", "sda", "pci0000:00/0000:01:00.0/host0/target0:2:0/0:2:0:0", "scsi"),
            ("sda", "sda", "platform/host3/session1/target3:0:0/3:0:0:0", "iscsi"),
            ("sda", "sda", "pci0000:00/0000:04:00.0/host5/rport-5:0-2/target5:0:0/5:0:0:0", "fc"),
            ("vda", "vda", "pci0000:00/0000:00:04.0/virtio1", "virtio"),
            ("mmcblk0", "mmcblk0", "platform/fe340000.mmc/mmc_host/mmc0/mmc0:0001", "mmc"),
            ("xvda", "xvda", "vbd-51712", "xen"),
        ])
    func transports(name: String, node: String, device: String, transport: String) throws {
        try withTemporaryFolder { folder in
            let tree = try host(folder)
            try tree.write("sys/devices/\(device)/state", "running\n")
            try tree.disk(name, "8:0", sectors: 2048)
            try tree.link("sys/class/block/\(name)/device", to: "../../../devices/\(device)")
            let disk = try #require(tree.hosts.list().first)
            #expect(disk.transport == transport)
            let isRemote = ["iscsi", "fc"].contains(transport)
            #expect(disk.obstacles == (isRemote ? [.network(transport: transport)] : []))
            let requirement = DiskRequirement(sizeBytes: 512, blockBytes: 512)
            #expect(disk.obstacles(to: requirement, isNamed: true) == [])
        }
    }

    @Test(
        "NVMe names its own transport, a fabric's makes it a disk of the network.",
        arguments: [
            ("pcie", "nvme"), ("tcp", "nvme-tcp"), ("rdma", "nvme-rdma"), ("fc", "nvme-fc"),
        ])
    func nvme(word: String, transport: String) throws {
        try withTemporaryFolder { folder in
            let tree = try host(folder)
            try tree.disk("nvme0n1", "259:0", sectors: 2048, more: ["device/transport": word])
            // With native multipath the controllers hang below the subsystem.
            try tree.disk(
                "nvme1n1", "259:1", sectors: 2048,
                more: [
                    "device/nvme1/transport": "pcie", "device/nvme2/transport": word,
                ])
            for disk in tree.hosts.list() {
                #expect(disk.transport == transport)
                #expect(disk.obstacles.map(\.code) == (word == "pcie" ? [] : ["network"]))
            }
        }
    }

    @Test("A Fibre Channel host is known by its class, too.")
    func fibreChannelHost() throws {
        try withTemporaryFolder { folder in
            let tree = try host(folder)
            try tree.write("sys/devices/pci0000:00/host7/target7:0:0/7:0:0:0/state", "running\n")
            try tree.disk("sda", "8:0", sectors: 2048)
            try tree.link("sys/class/block/sda/device", to: "../../../devices/pci0000:00/host7/target7:0:0/7:0:0:0")
            try tree.write("sys/class/fc_host/host7/speed", "16 Gbit\n")
            #expect(tree.hosts.list().map(\.transport) == ["fc"])
        }
    }

    @Test("Vendor, WWID and the links that lead to a disk are told.")
    func facts() throws {
        try withTemporaryFolder { folder in
            let tree = try host(folder)
            try tree.disk(
                "sda", "8:0", sectors: 2048,
                more: [
                    "device/vendor": "ATA     ", "device/wwid": "naa.5000c500a1b2c3d4",
                ])
            try tree.disk("vda", "254:0", sectors: 2048, more: ["device/vendor": "0x1af4"])
            try tree.link("dev/disk/by-id/wwn-0x5000c500a1b2c3d4", to: "../../sda")
            try tree.link("dev/disk/by-path/pci-0000:00:1f.2-ata-1", to: "../../sda")
            try tree.link("dev/disk/by-id/virtio-x", to: "../../vda")
            let disks = tree.hosts.list()
            #expect(disks[0].vendor == "ATA" && disks[0].wwid == "naa.5000c500a1b2c3d4")
            #expect(disks[0].links == ["/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"])
            #expect(disks[1].vendor == nil && disks[1].links == ["/dev/disk/by-id/virtio-x"])
        }
    }

    @Test("Every obstacle has a code of its own.")
    func codes() {
        let all: [DiskRejection] = [
            .mounted(device: "", mountPoint: ""), .swap(device: ""), .held(by: ""), .otherPath(name: ""), .openedExclusively,
            .locked, .byteLocked, .useUnknown(file: ""), .isSource, .readOnly, .zeroSize, .removable, .network(transport: ""),
            .wrongKind(name: ""), .bootArea(name: ""), .tooSmall(need: 1, has: 0), .wrongBlockSize(need: 1, has: 0),
        ]
        #expect(Set(all.map(\.code)).count == all.count)
    }
}
