import CLinux
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

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
            .notSelected(key: "", has: nil, hint: ""),
        ]
        #expect(Set(all.map(\.code)).count == all.count)
    }
}
