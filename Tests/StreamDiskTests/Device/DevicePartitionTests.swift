import CLinux
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mib: UInt64 = 1 << 20

/// Old partitions are forgotten before their table goes, new ones are waited for after it came.
@Suite(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs)) struct DevicePartitionTests {
    /// A disk with two partitions that the kernel knows: by addpart(8), which takes no table and no support for one.
    private func withPartitions(_ body: (LoopDevice) throws -> Void) throws {
        try LoopDevice.with(sizeBytes: 16 * mib, partitions: true) { device in
            try run("addpart", [device.path, "1", "2048", "8192"])
            try run("addpart", [device.path, "3", "10240", "8192"])
            defer { for number in ["1", "3"] { _ = try? run("delpart", [device.path, number]) } }
            try body(device)
        }
    }

    private func open(_ device: LoopDevice) throws -> TargetDisk {
        try TargetDisk.open(
            path: device.path, requirement: DiskRequirement(sizeBytes: mib, blockBytes: 512), access: .readWrite)
    }

    @Test("The kernel forgets the old partitions.")
    func forgotten() throws {
        try withPartitions { device in
            let target = try open(device)
            #expect(target.hosts.partitions(of: device.name).map(\.number) == [1, 3])
            #expect(try target.forgetPartitions() == nil)
            #expect(target.hosts.partitions(of: device.name) == [])
            #expect(!FileManager.default.fileExists(atPath: device.path + "p1"))
            #expect(try target.forgetPartitions() == nil)
        }
    }

    @Test("A partition that somebody reads makes the disk one in use, and all of them stay.")
    func openPartition() throws {
        try withPartitions { device in
            let target = try open(device)
            let before = target.hosts.partitions(of: device.name)
            let reader = try Descriptor(opening: device.path + "p3", O_RDONLY)
            let error = #expect(throws: DiskSelectionError.self) { _ = try target.forgetPartitions(patienceSeconds: 0.2) }
            #expect(error?.kind == .inUse)
            #expect(error?.reason.contains("\(device.name)p3 open") == true)
            #expect(target.hosts.partitions(of: device.name).map(\.startBytes) == before.map(\.startBytes))
            #expect(target.hosts.partitions(of: device.name).map(\.lengthBytes) == before.map(\.lengthBytes))
            try reader.close()
            #expect(try target.forgetPartitions() == nil)
        }
    }

    // MARK: Arrival

    private static let guid = "0fc63daf-8483-4772-8e79-3d69d8477de4"

    /// A made-up disk with one partition, whose node is a device that answers nobody (major 8 is SCSI's; it is never opened).
    private func withNewPartition(_ body: (FakeTree, inout PartitionArrival) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            try tree.disk("sda", "8:0", sectors: 4096)
            try tree.partition("sda1", "8:1", of: "sda")
            var arrival = PartitionArrival(
                hosts: tree.hosts, diskName: "sda", partitions: [.init(number: 1, guid: Self.guid)])
            arrival.timeoutSeconds = 0.3
            arrival.settledSeconds = 0.1
            try body(tree, &arrival)
        }
    }

    private func makeNode(_ tree: FakeTree, _ name: String, _ minor: UInt32) {
        #expect(unsafe mknod(tree.root.path + "/dev/" + name, S_IFBLK | 0o600, dev_t(8 << 8 | minor)) == 0)
    }

    @Test("Without udev the nodes are enough.")
    func nodes() throws {
        try withNewPartition { tree, arrival in
            #expect(arrival.wait()?.contains("/dev/sda1") == true)
            makeNode(tree, "sda1", 1)
            #expect(arrival.wait() == nil)
            let more = PartitionArrival.Expected(number: 2, guid: "x")
            var two = PartitionArrival(hosts: tree.hosts, diskName: "sda", partitions: arrival.partitions + [more])
            two.timeoutSeconds = 0.1
            #expect(two.wait()?.contains("partition 2") == true)
        }
    }

    @Test("Where udev runs, its links must be there, lead to the disk and stay.")
    func links() throws {
        try withNewPartition { tree, arrival in
            makeNode(tree, "sda1", 1)
            try tree.write("run/udev/control", "")
            #expect(arrival.wait()?.contains("by-partuuid/\(Self.guid)") == true)
            try tree.write("run/udev/queue", "")
            try tree.link("dev/disk/by-partuuid/\(Self.guid)", to: "../../sda1")
            #expect(arrival.wait()?.contains("still at work") == true)
            // It ends its work while somebody waits.
            arrival.timeoutSeconds = 5
            let queue = tree.root.path + "/run/udev/queue"
            let thread = try WorkerThread(name: "udev") {
                usleep(200_000)
                _ = unsafe unlink(queue)
            }
            let begin = Instant.now
            #expect(arrival.wait() == nil)
            thread.join()
            #expect(Instant.now.seconds(since: begin) >= 0.2)
        }
    }

    @Test("A link that leads to another disk's copy is told, and not waited for.")
    func copies() throws {
        try withNewPartition { tree, arrival in
            makeNode(tree, "sda1", 1)
            makeNode(tree, "sdb1", 17)
            try tree.write("run/udev/control", "")
            try tree.link("dev/disk/by-partuuid/\(Self.guid)", to: "../../sdb1")
            arrival.timeoutSeconds = 30
            #expect(arrival.wait()?.contains("same GUIDs") == true)
        }
    }
}
