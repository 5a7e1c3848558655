import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mib: UInt64 = 1 << 20

/// A partition as a target: what stands against it, and what does not, on made-up hosts.
@Suite struct RegionTargetTests {
    /// `sda` with two partitions, and `sdb`, another path to the same disk.
    private func host(mounts: [String] = [], _ body: (FakeTree) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder, mounts: mounts)
            for (disk, major) in [("sda", "8:0"), ("sdb", "8:16")] {
                try tree.disk(disk, major, sectors: 65536, more: ["device/wwid": "naa.5000c500a1b2c3d4"])
            }
            for (name, number, disk, start) in [
                ("sda1", "8:1", "sda", 2048), ("sda2", "8:2", "sda", 34816), ("sdb1", "8:17", "sdb", 2048),
                ("sdb2", "8:18", "sdb", 34816),
            ] {
                try tree.partition(name, number, of: disk)
                try tree.write("sys/class/block/\(disk)/\(name)/start", "\(start)\n")
                try tree.write("sys/class/block/\(disk)/\(name)/size", "20480\n")
                try tree.write("sys/class/block/\(disk)/\(name)/ro", "0\n")
            }
            try body(tree)
        }
    }

    private func obstacles(_ tree: FakeTree, _ minor: UInt32) -> [DiskRejection]? {
        tree.hosts.partition(DeviceNumber(major: 8, minor: minor), source: nil)?.obstacles
    }

    @Test("A partition has its own size and place, and its disk's properties.")
    func place() throws {
        try host { tree in
            let partition = try #require(tree.hosts.partition(DeviceNumber(major: 8, minor: 2), source: nil))
            #expect((partition.name, partition.sizeBytes, partition.blockBytes) == ("sda2", 10 * mib, 512))
            #expect(partition.place?.bytes == 17 * mib..<27 * mib && partition.place?.diskName == "sda")
            #expect(partition.obstacles == [])
            #expect(tree.hosts.partition(DeviceNumber(major: 8, minor: 0), source: nil) == nil)
        }
    }

    @Test("A mounted neighbour is no obstacle; the partition itself is, by either path to its disk, and so is its whole disk.")
    func uses() throws {
        try host(mounts: [mountLine("8:1", "/", source: "/dev/sda1")]) { tree in
            #expect(obstacles(tree, 1) == [.mounted(device: "sda1", mountPoint: "/")])
            #expect(obstacles(tree, 2) == [])
            #expect(obstacles(tree, 17) == [.otherPath(name: "sda1")])
            #expect(obstacles(tree, 18) == [])
        }
        try host(mounts: [mountLine("8:0", "/data", source: "/dev/sda")]) { tree in
            #expect(obstacles(tree, 2) == [.mounted(device: "sda", mountPoint: "/data")])
            #expect(obstacles(tree, 18) == [.otherPath(name: "sda2")])
        }
    }

    @Test("A partition that shares bytes with a mounted one of the same disk is in use.")
    func overlapping() throws {
        try host(mounts: [mountLine("8:1", "/", source: "/dev/sda1")]) { tree in
            try tree.write("sys/class/block/sda/sda2/start", "20480\n")
            #expect(obstacles(tree, 2) == [.otherPath(name: "sda1")])
        }
    }

    @Test("What holds a partition counts, what holds its neighbour does not.")
    func holders() throws {
        try host { tree in
            try tree.disk("dm-0", "253:0", sectors: 20480)
            try tree.link("sys/class/block/sda/sda1/holders/dm-0", to: "../../../dm-0")
            try tree.link("sys/class/block/dm-0/slaves/sda1", to: "../../sda/sda1")
            #expect(obstacles(tree, 1) == [.held(by: "dm-0")])
            #expect(obstacles(tree, 2) == [])
        }
    }

    @Test("A partition that begins inside a physical block, is too small or of other blocks does not fit.")
    func fit() throws {
        try host { tree in
            try tree.write("sys/class/block/sda/sda2/start", "34817\n")
            let partition = try #require(tree.hosts.partition(DeviceNumber(major: 8, minor: 2), source: nil))
            let start: UInt64 = 34817 * 512
            let fits = DiskRequirement(sizeBytes: 10 * mib, blockBytes: 512)
            #expect(partition.obstacles(to: fits, isNamed: true) == [.misaligned(startBytes: start, blockBytes: 4096)])
            let first = try #require(tree.hosts.partition(DeviceNumber(major: 8, minor: 1), source: nil))
            #expect(first.obstacles(to: fits, isNamed: true) == [])
            #expect(
                first.obstacles(to: DiskRequirement(sizeBytes: 10 * mib + 1, blockBytes: 4096), isNamed: true) == [
                    .wrongBlockSize(need: 4096, has: 512), .tooSmall(need: 10 * mib + 1, has: 10 * mib),
                ])
        }
    }

    @Test(
        "Text names a partition by number, mount point or name.",
        arguments: [
            ("2", PartitionReference.number(2)), ("007", .number(7)), ("/", .mountPoint("/")),
            ("/boot/efi", .mountPoint("/boot/efi")),
            ("root-b", .name("root-b")), ("2nd", .name("2nd")), ("99999999999999999999", .name("99999999999999999999")),
        ])
    func references(text: String, reference: PartitionReference) {
        #expect(PartitionReference(text) == reference)
        #expect(PartitionReference("") == nil)
    }

    @Test("Targets lie apart in one space of addresses, and each byte is found again.")
    func addresses() {
        let geometry = DiskGeometry(targets: [("a", mib), ("b", 512), ("c", 3 * mib)], blockBytes: 512)
        for (index, target) in geometry.targets.enumerated() {
            let (start, end) = (target.addresses.lowerBound, target.addresses.upperBound)
            #expect(start % mib == 0)
            #expect(geometry.index(at: start) == index && geometry.index(at: end - 1) == index)
            #expect(geometry.locate(start..<end).path == target.path)
            #expect(geometry.locate(start..<end).range == 0..<end - start)
            if index > 0 { #expect(start >= geometry.targets[index - 1].addresses.upperBound + mib) }
        }
        #expect(geometry.targets[0].addresses.lowerBound == 0)
    }
}
