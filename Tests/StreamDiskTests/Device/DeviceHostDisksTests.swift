import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let gib: UInt64 = 1 << 30
/// Of 512 bytes.
private func sectors(_ bytes: UInt64) -> UInt64 { bytes / 512 }

@Suite struct DeviceHostDisksTests {
    /// The names of the disks nothing stands against, and the obstacles of the others.
    private func obstacles(_ tree: FakeTree) -> [String: [DiskRejection]] {
        Dictionary(uniqueKeysWithValues: tree.hosts.list().map { ($0.name, $0.obstacles) })
    }

    @Test func namesAreOrderedAsAPersonCounts() {
        let names = [
            "dm-2", "dm-10", "loop0", "loop9", "loop10", "mmcblk0", "mmcblk0boot0", "mmcblk0boot1", "nvme0n1",
            "nvme2n1",
            "nvme2n2", "nvme10n1", "sda", "sdb", "sdz", "sdaa", "sdab", "sdba", "sdaaa", "sr0", "vda", "xvda", "xvdaa",
        ]
        for seed in 0..<20 {
            #expect(shuffled(names, seed: UInt64(seed)).sorted(by: naturallyPrecedes) == names, "seed \(seed)")
        }
        #expect(!naturallyPrecedes("sda", "sda"))
        for one in names {
            for two in names where one != two {
                #expect(naturallyPrecedes(one, two) != naturallyPrecedes(two, one), "\(one), \(two)")
            }
        }
    }

    @Test func tellsWhatSysfsTells() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk(
                "nvme0n1", "259:0", sectors: sectors(512 * gib), blockSize: 4096,
                more: ["device/model": "Samsung SSD 980   ", "device/serial": "S64ANS0T  ", "diskseq": "12"])
            try tree.disk("sda", "8:0", sectors: 62_533_296, more: ["device/model": "ST8000NM0055    "])
            try tree.write("sys/class/block/sda/device/vpd_pg80", Data([0, 0x80, 0, 8]) + Data("    ZA1B".utf8))
            try tree.disk("vda", "254:0", sectors: 8, more: ["serial": "root-disk"])
            try tree.disk("mmcblk0", "179:0", sectors: 8, more: ["device/name": "SD32G", "device/serial": "0x1b3"])
            let disks = tree.hosts.list()
            #expect(disks.map(\.name) == ["mmcblk0", "nvme0n1", "sda", "vda"])
            let nvme = try #require(disks.first { $0.name == "nvme0n1" })
            #expect(nvme.path == tree.root.path + "/dev/nvme0n1")
            #expect(nvme.number == DeviceNumber(major: 259, minor: 0))
            #expect(nvme.sizeBytes == 512 * gib)
            #expect((nvme.blockBytes, nvme.physicalBlockBytes) == (4096, 4096))
            #expect((nvme.model, nvme.serial) == ("Samsung SSD 980", "S64ANS0T"))
            #expect(nvme.dmaAlignmentBytes == 512)
            #expect((nvme.isRemovable, nvme.isReadOnly, nvme.isRotational, nvme.sequence) == (false, false, false, 12))
            #expect(nvme.obstacles == [])
            #expect(disks[2].sizeBytes == 32_017_047_552)
            #expect((disks[2].model, disks[2].serial) == ("ST8000NM0055", "ZA1B"))
            #expect(disks[3].serial == "root-disk")
            #expect((disks[0].model, disks[0].serial) == ("SD32G", "0x1b3"))
        }
    }

    @Test func onlyRealDisksAreCandidates() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            let candidates = ["sda", "sdaa", "hdb", "vda", "xvda", "nvme0n1", "nvme10n2", "mmcblk1"]
            let others = [
                "loop0", "zram0", "ram3", "dm-0", "md127", "sr0", "nbd0", "fd0", "mmcblk0gp0", "sda!x", "pmem0",
            ]
            let bootAreas = ["mmcblk0boot0", "mmcblk0boot1", "mmcblk0rpmb"]
            for (index, name) in (candidates + others + bootAreas).enumerated() {
                try tree.disk(name, "8:\(index)", sectors: 2048)
            }
            let found = obstacles(tree)
            for name in candidates { #expect(found[name] == [], "\(name)") }
            for name in others { #expect(found[name] == [.wrongKind(name: name)], "\(name)") }
            for name in bootAreas { #expect(found[name] == [.bootArea(name: name)], "\(name)") }
            // The exclamation mark stands for the slash that a file name cannot have.
            #expect(tree.hosts.list().first { $0.name == "sda!x" }?.path == tree.root.path + "/dev/sda/x")
        }
    }

    @Test func partitionsAndSinglePathsAreNotListed() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk("nvme0n1", "259:0", sectors: 2048)
            try tree.disk("nvme0c0n1", "259:1", sectors: 2048)
            try tree.disk("nvme0c1n1", "259:2", sectors: 2048, more: ["hidden": "1"])
            try tree.disk("sda", "8:0", sectors: 2048, more: ["hidden": "1"])
            try tree.partition("nvme0n1p1", "259:3", of: "nvme0n1")
            #expect(tree.hosts.list().map(\.name) == ["nvme0n1"])
            #expect(tree.hosts.partition(DeviceNumber(major: 259, minor: 3)) == "nvme0n1p1")
            #expect(tree.hosts.partition(DeviceNumber(major: 259, minor: 0)) == nil)
            #expect(tree.hosts.partitions(of: "nvme0n1").count == 1)
        }
    }

    @Test func aDiskInUseAnywhereInItsTreeHasAnObstacle() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(
                in: folder,
                mounts: [
                    "22 27 0:21 / /proc rw,relatime - proc proc rw",
                    mountLine("8:2", "/boot", source: "/dev/sda2"),
                    mountLine("8:2", "/mnt/again", source: "/dev/sda2"),
                    mountLine("8:16", "/srv/with\\040space", source: "/dev/sdb"),
                    // A stack: a partition, an encrypted volume in it, a logical volume in that, mounted.
                    mountLine("253:1", "/", source: "/dev/mapper/vg-root"),
                    // btrfs: an anonymous number, only the source tells.
                    mountLine("0:45", "/data", source: "/dev/sde1", type: "btrfs"),
                    mountLine("0:46", "/home", source: "/dev/mapper/pool", type: "btrfs"),
                    mountLine("0:47", "/x", source: "sdi", type: "tmpfs"),
                ],
                swaps: [
                    "/dev/sdd3                               partition\t8388604\t\t0\t\t-2",
                    "/swapfile                               file\t\t2097148\t\t0\t\t-3",
                ])
            try tree.disk("sda", "8:0", sectors: 2048)
            try tree.partition("sda1", "8:1", of: "sda")
            try tree.partition("sda2", "8:2", of: "sda")
            try tree.disk("sdb", "8:16", sectors: 2048)
            try tree.disk("sdc", "8:32", sectors: 2048)
            try tree.partition("sdc1", "8:33", of: "sdc", holders: ["dm-0"])
            try tree.disk("dm-0", "253:0", sectors: 2048, holders: ["dm-1"])
            try tree.disk("dm-1", "253:1", sectors: 2048)
            try tree.disk("sdd", "8:48", sectors: 2048)
            try tree.partition("sdd3", "8:51", of: "sdd")
            try tree.disk("sde", "8:64", sectors: 2048)
            try tree.partition("sde1", "8:65", of: "sde")
            try tree.disk("sdf", "8:80", sectors: 2048, holders: ["md0"])
            try tree.disk("sdg", "8:96", sectors: 2048, holders: ["md0"])
            try tree.disk("md0", "9:0", sectors: 2048)
            try tree.partition("md0p1", "259:0", of: "md0", holders: ["dm-2"])
            try tree.disk("dm-2", "253:2", sectors: 2048)
            try tree.link("dev/mapper/pool", to: "../dm-2")
            try tree.disk("sdi", "8:128", sectors: 2048)
            // No holder to the kernel.
            try tree.disk("sdj", "8:144", sectors: 2048)
            try tree.partition("sdj1", "8:145", of: "sdj")
            try tree.disk("loop5", "7:5", sectors: 2048, more: ["loop/backing_file": "/dev/sdj1"])
            try tree.disk("loop6", "7:6", sectors: 2048, more: ["loop/backing_file": "/var/sdi"])
            let found = obstacles(tree)
            #expect(found["sda"] == [.mounted(device: "sda2", mountPoint: "/boot")])
            #expect(found["sdb"] == [.mounted(device: "sdb", mountPoint: "/srv/with space")])
            #expect(
                found["sdc"] == [
                    .mounted(device: "dm-1", mountPoint: "/"), .held(by: "dm-0"), .held(by: "dm-1"),
                ])
            #expect(found["sdd"] == [.swap(device: "sdd3")])
            #expect(found["sde"] == [.mounted(device: "sde1", mountPoint: "/data")])
            for raid in ["sdf", "sdg"] {
                #expect(
                    found[raid] == [
                        .mounted(device: "dm-2", mountPoint: "/home"), .held(by: "md0"), .held(by: "dm-2"),
                    ])
            }
            #expect(found["sdi"] == [])
            #expect(found["sdj"] == [.held(by: "loop5")])
        }
    }

    @Test func whatCannotBeReadCountsAgainstTheDisk() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder, mounts: ["not a line of mountinfo"])
            try tree.disk("sda", "8:0", sectors: 2048)
            #expect(obstacles(tree)["sda"] == [.useUnknown(file: "/proc/self/mountinfo")])
            try FileManager.default.removeItem(at: folder.appending(path: "proc/self/mountinfo"))
            #expect(obstacles(tree)["sda"] == [.useUnknown(file: "/proc/self/mountinfo")])
            // A kernel without swap has no such file; that is no reason.
            try tree.write("proc/self/mountinfo", "")
            try FileManager.default.removeItem(at: folder.appending(path: "proc/swaps"))
            #expect(obstacles(tree)["sda"] == [])
            for file in ["removable", "ro", "size"] {
                let path = "sys/class/block/sda/\(file)"
                let text = try String(contentsOf: folder.appending(path: path), encoding: .utf8)
                try FileManager.default.removeItem(at: folder.appending(path: path))
                #expect(obstacles(tree)["sda"]?.count == 1, "\(file)")
                try tree.write(path, "what?\n")
                #expect(obstacles(tree)["sda"]?.count == 1, "\(file)")
                try tree.write(path, text)
            }
        }
    }

    @Test func holdersThatPointInACircleEnd() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk("sda", "8:0", sectors: 2048, holders: ["dm-0"])
            try tree.disk("dm-0", "253:0", sectors: 2048, holders: ["sda"])
            #expect(obstacles(tree)["sda"] == [.held(by: "dm-0")])
        }
    }

    @Test func theSmallestThatFitsIsChosenAndTiesGoByName() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk("sda", "8:0", sectors: sectors(64 * gib))
            try tree.disk("sdaa", "65:160", sectors: sectors(16 * gib))
            try tree.disk("sdb", "8:16", sectors: sectors(16 * gib))
            try tree.disk("sdc", "8:32", sectors: sectors(4 * gib))
            try tree.disk("sdd", "8:48", sectors: sectors(8 * gib), removable: true)
            try tree.disk("sde", "8:64", sectors: sectors(8 * gib), readOnly: true)
            try tree.disk("sdf", "8:80", sectors: sectors(8 * gib), blockSize: 4096)
            try tree.disk("loop0", "7:0", sectors: sectors(8 * gib))
            let disks = tree.hosts.list()
            func chosen(_ bytes: UInt64, _ blockSize: Int = 512) throws -> String {
                try HostDisks.choose(
                    among: disks, for: DiskRequirement(sizeBytes: bytes, blockBytes: blockSize)
                ).name
            }
            #expect(try chosen(8 * gib) == "sdb")
            #expect(try chosen(16 * gib) == "sdb")
            #expect(try chosen(16 * gib + 512) == "sda")
            #expect(try chosen(4 * gib) == "sdc")
            #expect(try chosen(8 * gib, 4096) == "sdf")
        }
    }

    @Test func whereNoneFitsTheErrorNamesEveryDiskAndWhy() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder, mounts: [mountLine("8:1", "/", source: "/dev/sda1")])
            try tree.disk("sda", "8:0", sectors: sectors(64 * gib))
            try tree.partition("sda1", "8:1", of: "sda")
            try tree.disk("sdb", "8:16", sectors: sectors(8 * gib) - 1)
            try tree.disk("sdc", "8:32", sectors: sectors(8 * gib), blockSize: 4096)
            try tree.disk("sdd", "8:48", sectors: 0, removable: true)
            try tree.disk("loop0", "7:0", sectors: 0)
            try tree.disk("loop1", "7:1", sectors: sectors(9 * gib))
            let error = #expect(throws: DiskSelectionError.self) {
                try HostDisks.choose(
                    among: tree.hosts.list(), for: DiskRequirement(sizeBytes: 8 * gib, blockBytes: 512))
            }
            #expect(error?.kind == .noneFits)
            #expect(error?.path == nil)
            let expected =
                "no disk fits the image, which needs 8.0 GiB (8589934592 bytes) in blocks of 512 bytes: "
                + "loop1: a loop device, used only when named; "
                + "sda: in use: sda1 is mounted on /; "
                + "sdb: too small: 8.0 GiB (8589934592 bytes) needed, it has 7.9 GiB (8589934080 bytes); "
                + "sdc: wrong logical block size: the image is made for 512 bytes, it has 4096; "
                + "sdd: has no medium (zero size), removable, used only when named"
            #expect(error?.reason == expected)
        }
    }

    @Test func namingADiskLeavesOnlyTheRealObstacles() {
        let disk = DiskInfo(
            name: "mmcblk0boot0", path: "/dev/mmcblk0boot0", number: DeviceNumber(major: 179, minor: 8),
            sizeBytes: 4 << 20, blockBytes: 512, physicalBlockBytes: 512, isRemovable: true, isReadOnly: false,
            isRotational: false, dmaAlignmentBytes: 512,
            obstacles: [.removable, .wrongKind(name: "x"), .bootArea(name: "x"), .held(by: "dm-0"), .readOnly])
        let small = DiskRequirement(sizeBytes: 4 << 20, blockBytes: 512)
        #expect(disk.obstacles(to: small, isNamed: true) == [.held(by: "dm-0"), .readOnly])
        #expect(disk.obstacles(to: small, isNamed: false) == disk.obstacles)
        let large = DiskRequirement(sizeBytes: 4 << 20 + 1, blockBytes: 4096)
        #expect(
            disk.obstacles(to: large, isNamed: true) == [
                .held(by: "dm-0"), .readOnly, .wrongBlockSize(need: 4096, has: 512),
                .tooSmall(need: 4 << 20 + 1, has: 4 << 20),
            ])
    }

    @Test(
        arguments: [
            (0, "0 bytes"), (512, "512 bytes"), (1024, "1.0 KiB (1024 bytes)"), (1535, "1.4 KiB (1535 bytes)"),
            (8_589_934_592, "8.0 GiB (8589934592 bytes)"), (8_589_934_591, "7.9 GiB (8589934591 bytes)"),
            (1_048_575, "1023.9 KiB (1048575 bytes)"), (.max, "15.9 EiB (18446744073709551615 bytes)"),
        ] as [(UInt64, String)])
    func sizesAreReadableAndExact(bytes: UInt64, text: String) {
        #expect(sizeText(bytes) == text)
    }

    @Test func theDiskThisHostRunsFromIsInUse() {
        var root = stat()
        #expect(unsafe stat("/", &root) == 0)
        let number = DeviceNumber(root.st_dev)
        // The root may be a partition, or lie on no disk at all (a container); then there is nothing to see here.
        if let disk = HostDisks().disk(number) {
            #expect(disk.obstacles.contains(.mounted(device: disk.name, mountPoint: "/")))
            #expect(disk.path == "/dev/\(disk.name)")
        }
    }
}

/// Mixed the same way for the same seed.
private func shuffled(_ names: [String], seed: UInt64) -> [String] {
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            // splitmix64
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }
    var generator = Generator(state: seed)
    return names.shuffled(using: &generator)
}
