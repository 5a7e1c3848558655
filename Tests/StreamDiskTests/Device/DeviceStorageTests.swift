import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// What an image is read from, seen through partitions, device-mapper, RAID, loop devices and file systems.
@Suite struct DeviceStorageTests {
    private func number(_ text: String) throws -> DeviceNumber { try #require(DeviceNumber(text)) }

    /// Two disks; on the first a volume in its second partition, and on that a loop device.
    private func withStack(_ body: (FakeTree) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk("sda", "8:0", sectors: 4096)
            try tree.partition("sda1", "8:1", of: "sda")
            try tree.partition("sda2", "8:2", of: "sda", holders: ["dm-0"])
            try tree.disk("sdb", "8:16", sectors: 4096)
            try tree.disk("dm-0", "253:0", sectors: 4096)
            try tree.link("sys/class/block/dm-0/slaves/sda2", to: "../../sda2")
            try tree.disk("loop0", "7:0", sectors: 4096, more: ["loop/backing_file": "/dev/mapper/vg-image"])
            try tree.link("dev/mapper/vg-image", to: "../dm-0")
            try body(tree)
        }
    }

    private func overlaps(_ tree: FakeTree, source: LocalOrigin, target: String) throws -> Bool {
        Storage(of: source, among: tree.hosts.list(), tree.hosts.tree)
            .overlaps(Storage(writtenBy: try number(target), tree.hosts.tree))
    }

    private func device(_ text: String) throws -> LocalOrigin {
        LocalOrigin(file: FileIdentity(device: try number("0:5"), inode: 1), device: try number(text))
    }

    @Test(
        "A source lies on all that it is built of, and on nothing else.",
        arguments: [
            // A disk, itself and what is made of it.
            ("8:0", ["8:0", "253:0", "7:0"]),
            // The partition beside the volume.
            ("8:1", ["8:0"]),
            ("8:2", ["8:0", "253:0", "7:0"]), ("253:0", ["8:0", "253:0", "7:0"]), ("7:0", ["8:0", "253:0", "7:0"]),
            ("8:16", ["8:16"]),
        ])
    func stacks(source: String, hit: [String]) throws {
        try withStack { tree in
            for target in ["8:0", "8:16", "253:0", "7:0"] {
                let found = try overlaps(tree, source: device(source), target: target)
                #expect(found == hit.contains(target), "\(source) onto \(target)")
            }
        }
    }

    @Test("An image file lies on the disk of its file system, and a target file on none.")
    func files() throws {
        try withStack { tree in
            let file = FileIdentity(device: try number("253:0"), inode: 17)
            let origin = LocalOrigin(file: file, device: nil)
            let (on, beside) = (
                try overlaps(tree, source: origin, target: "8:0"), try overlaps(tree, source: origin, target: "8:16")
            )
            #expect(on && !beside)
            let source = Storage(of: origin, among: tree.hosts.list(), tree.hosts.tree)
            #expect(source.overlaps(Storage(writtenBy: file)))
            // Beside it, on the same file system.
            #expect(!source.overlaps(Storage(writtenBy: FileIdentity(device: file.device, inode: 18))))
        }
    }

    @Test("Another path to the source's disk is the source, too.")
    func paths() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            for (name, number) in [("sda", "8:0"), ("sdb", "8:16"), ("sdc", "8:32")] {
                let wwid = name == "sdc" ? "naa.2" : "naa.1"
                try tree.disk(name, number, sectors: 4096, more: ["device/wwid": wwid])
            }
            let disks = tree.hosts.list(source: try device("8:0"))
            #expect(disks.map(\.obstacles) == [[.isSource], [.isSource], []])
        }
    }

    @Test("Swap files and files under loop devices are in use.")
    func usesOfFiles() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(
                in: folder, swaps: ["/swapfile                               file\t\t2097148\t\t0\t\t-3"])
            try tree.write("swapfile", "x")
            try tree.write("disk.raw", "x")
            try tree.write("free.raw", "x")
            try tree.disk("loop3", "7:3", sectors: 4096, more: ["loop/backing_file": "/disk.raw"])
            func uses(_ name: String) throws -> [DiskRejection] {
                tree.hosts.uses(ofFile: try #require(FileIdentity(at: tree.root.path + "/" + name)), source: nil)
            }
            #expect(try uses("swapfile") == [.swap(device: "it")])
            #expect(try uses("disk.raw") == [.held(by: "loop3")])
            #expect(try uses("free.raw") == [])
        }
    }

    @Test("A loop device shares the uses of what it lies over; volumes of one group share nothing.")
    func sharedUses() throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(
                in: folder,
                mounts: [mountLine("253:0", "/", source: "/dev/mapper/vg-root"), mountLine("7:1", "/one", source: "/dev/loop1")])
            try tree.disk("sda", "8:0", sectors: 4096)
            try tree.partition("sda1", "8:1", of: "sda", holders: ["dm-0", "dm-1"])
            for (index, name) in ["dm-0", "dm-1"].enumerated() {
                try tree.disk(name, "253:\(index)", sectors: 4096)
                try tree.link("sys/class/block/\(name)/slaves/sda1", to: "../../sda1")
                try tree.link("dev/mapper/vg-\(index)", to: "../\(name)")
            }
            try tree.write("disk.raw", "x")
            for (index, below) in ["/dev/mapper/vg-0", "/disk.raw", "/disk.raw", "/dev/mapper/vg-1"].enumerated() {
                try tree.disk("loop\(index)", "7:\(index)", sectors: 4096, more: ["loop/backing_file": below])
            }
            let obstacles = Dictionary(
                uniqueKeysWithValues: tree.hosts.list().map { disk in
                    (disk.name, disk.obstacles.filter { $0 != .wrongKind(name: disk.name) })
                })
            #expect(obstacles["loop0"] == [.mounted(device: "dm-0", mountPoint: "/")])
            #expect(obstacles["loop2"] == [.mounted(device: "loop1", mountPoint: "/one")])
            #expect(obstacles["dm-1"] == [.held(by: "loop3")])
            #expect(obstacles["loop3"] == [])
        }
    }
}
