import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

private let gib: UInt64 = 1 << 30

/// Which disk is taken by what is known of it; needs no root.
@Suite struct DeviceHintTests {
    /// Made-up disks, unlike each other in all that a hint can speak of.
    private func withDisks(_ body: ([DiskInfo]) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder, mounts: [mountLine("8:48", "/", source: "/dev/sdd")])
            try tree.disk(
                "sda", "8:0", sectors: 500_107_862_016 / 512,
                more: [
                    "device/vendor": "ATA     ", "device/model": "Samsung SSD 870 ", "serial": "S5Y1NJ0R",
                    "device/wwid": "naa.5002538f31b4c2a1", "queue/rotational": "0",
                ])
            try tree.disk(
                "sdb", "8:16", sectors: 4 << 21,
                more: [
                    "device/vendor": "SEAGATE", "device/model": "ST8000NM0055", "serial": "ZA1B", "queue/rotational": "1",
                    "device/wwid": "naa.5000c500a1b2c3d4",
                ])
            try tree.disk("sdc", "8:32", sectors: 8 << 21, removable: true, more: ["device/model": "Flash", "serial": "0123"])
            try tree.disk("sdd", "8:48", sectors: 64 << 21, more: ["serial": "ROOT"])
            try tree.disk("nvme0n1", "259:0", sectors: 16 << 21, more: ["wwid": "eui.0025388b710116a1", "device/model": "PM9A3"])
            try tree.disk("loop3", "7:3", sectors: 2 << 21)
            try tree.link("dev/disk/by-path/pci-0000:00:1f.2-ata-1", to: "../../sda")
            try tree.link("dev/disk/by-id/nvme-PM9A3_1", to: "../../nvme0n1")
            try body(tree.hosts.list())
        }
    }

    private func expectChosen(
        _ disk: String?, of disks: [DiskInfo], _ texts: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let hints = texts.compactMap { DiskHint($0) }
        #expect(hints.count == texts.count, "\(texts)", sourceLocation: sourceLocation)
        let chosen = try? HostDisks.choose(
            among: disks, for: DiskRequirement(sizeBytes: gib, blockBytes: 512), matching: hints)
        #expect(chosen?.name == disk, "\(texts)", sourceLocation: sourceLocation)
    }

    @Test("The smallest disk that fits and meets all hints.")
    func table() throws {
        let rows: [(hints: [String], disk: String?)] = [
            ([], "sdb"),
            (["serial=S5Y1NJ0R"], "sda"), (["serial=s5y1nj0r"], "sda"), (["serial=S5Y1"], nil), (["serial=<in> S5Y1"], "sda"),
            (["serial=s== S5Y1NJ0R"], "sda"), (["SERIAL=S5Y1NJ0R"], "sda"),
            (["wwn=naa.5002538f31b4c2a1"], "sda"), (["wwn=0x5002538F31B4C2A1"], "sda"), (["wwn=wwn-0x5002538f31b4c2a1"], "sda"),
            (["wwn=5002538f31b4c2a1"], "sda"), (["wwn=eui.0025388b710116a1"], "nvme0n1"), (["wwn=5002538f"], nil),
            (["model=Samsung SSD 870"], "sda"), (["model=<in>ssd"], "sda"), (["model==PM9A3"], "nvme0n1"),
            (["vendor=ata"], "sda"),
            (["vendor=QEMU"], nil),
            (["name=sda"], "sda"), (["name=/dev/disk/by-id/nvme-PM9A3_1"], "nvme0n1"),
            (["by_path=pci-0000:00:1f.2-ata-1"], "sda"), (["by_path=/dev/disk/by-path/pci-0000:00:1f.2-ata-1"], "sda"),
            (["by_path=nvme-PM9A3_1"], nil),
            (["rotational=true"], "sdb"), (["rotational=1"], "sdb"), (["rotational=false"], "nvme0n1"),
            (["size>=5G"], "nvme0n1"), (["size=>=5G"], "nvme0n1"), (["size= >= 5"], "nvme0n1"), (["size>=17G"], "sda"),
            (["size>=466G"], nil), (["size<=4G"], "sdb"), (["size<=3G"], nil), (["size==465G"], "sda"), (["size=465.7G"], "sda"),
            (["size=465"], "sda"), (["size=465.8G"], nil), (["size<=465G", "size>=465G"], "sda"), (["size=500107862016B"], "sda"),
            (["size=0.4T"], "sda"), (["size>=0.4T"], "sda"),
            (["rotational=false", "size>=17G"], "sda"), (["rotational=true", "size>=17G"], nil),
            (["vendor=ATA", "model=PM9A3"], nil),
            (["size >= 17G"], "sda"), ([" model = PM9A3 "], "nvme0n1"),
            (["name=/dev/disk/by-id/NVME-pm9a3_1"], nil), (["name=SDA"], nil), (["by_path=PCI-0000:00:1f.2-ata-1"], nil),
        ]
        try withDisks { disks in
            for disk in disks where disk.name == "nvme0n1" { expectChosen("nvme0n1", of: disks, ["name=\(disk.path)"]) }
            for row in rows { expectChosen(row.disk, of: disks, row.hints) }
        }
    }

    @Test(
        "A hint of one certain disk names it, as the path of a disk does; one of many does not, and a disk in use is never taken."
    )
    func naming() throws {
        try withDisks { disks in
            expectChosen("sdc", of: disks, ["serial=0123"])
            expectChosen(nil, of: disks, ["model=Flash"])
            expectChosen(nil, of: disks, ["serial=<in>0123"])
            expectChosen("loop3", of: disks, ["name=loop3"])
            expectChosen(nil, of: disks, ["size<=2G"])
            expectChosen(nil, of: disks, ["serial=ROOT"])
            expectChosen(nil, of: disks, ["name=sdd"])
        }
    }

    @Test("Where none is meant, each disk says why; where the one that is meant does not fit, it says so.")
    func reasons() throws {
        try withDisks { disks in
            func error(_ text: String, gib count: UInt64 = 1) -> DiskSelectionError? {
                let hints = [DiskHint(text)].compactMap { $0 }
                return #expect(throws: DiskSelectionError.self) {
                    try HostDisks.choose(
                        among: disks, for: DiskRequirement(sizeBytes: count * gib, blockBytes: 512), matching: hints)
                }
            }
            let none = error("model=QEMU")
            #expect(none?.kind == .noneMatches)
            for words in [
                "no disk of this host is model=QEMU: ", "sda: its model is Samsung SSD 870, not model=QEMU; ",
                "sdd: its model is not known, not model=QEMU, in use: sdd is mounted on /",
            ] {
                #expect(none?.reason.contains(words) == true, "\(String(describing: none))")
            }
            let small = error("serial=ZA1B", gib: 5)
            #expect(small?.kind == .noneFits)
            #expect(small?.reason.contains("no disk that is serial=ZA1B fits the image") == true)
            #expect(small?.reason.contains("sdb: too small") == true)
        }
    }

    @Test("What is no hint is told what to give.")
    func refusals() {
        for text in ["serial", "serial=", "hctl=1", "size=many", "size=1e3", "size=-1", "rotational=2", "size=1..2G", "size=.5G"]
        {
            #expect(DiskHint(text) == nil && DiskHint.refusal(of: text) != nil, "\(text)")
        }
        #expect(DiskHint.refusal(of: "hctl=1")?.contains("serial, wwn, model, vendor, name, by_path, rotational, size") == true)
        #expect(DiskHint.refusal(of: "size=9000000000")?.contains("GiB") == true)
    }

    @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func aRemovableDiskThatIsNamedIsOpened() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            let device = try LoopDevice(sizeBytes: 1 << 20)
            defer { device.remove() }
            try tree.disk("sda", device.number, sectors: 2048, removable: true, more: ["serial": "STICK"])
            try tree.link("dev/sda", to: device.path)
            let requirement = DiskRequirement(sizeBytes: 1 << 20, blockBytes: 512)
            let hint = try #require(DiskHint("serial=stick"))
            let target = try TargetDisk.openSmallest(
                matching: [hint], requirement: requirement, access: .readWrite, hosts: tree.hosts)
            #expect(target.resolvedPath == device.path && target.hints == [hint])
            try target.close()
            #expect(throws: DiskSelectionError.self) {
                _ = try TargetDisk.openSmallest(requirement: requirement, access: .readWrite, hosts: tree.hosts)
            }
        }
    }
}
