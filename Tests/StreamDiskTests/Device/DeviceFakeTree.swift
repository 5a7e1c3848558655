import Foundation

@testable import StreamDisk
@testable import TestSupport

/// /sys, /proc and /dev of a made-up host, laid out as Linux does.
struct FakeTree {
    let root: URL

    init(in folder: URL, mounts: [String] = [], swaps: [String] = []) throws {
        root = folder
        let header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
        try write("proc/self/mountinfo", mounts.map { $0 + "\n" }.joined())
        try write("proc/swaps", ([header] + swaps).map { $0 + "\n" }.joined())
        try FileManager.default.createDirectory(at: root.appending(path: "dev"), withIntermediateDirectories: true)
    }

    var hosts: HostDisks { HostDisks(root: root.path) }

    func write(_ path: String, _ text: String) throws {
        try write(path, Data(text.utf8))
    }

    func write(_ path: String, _ data: Data) throws {
        let file = root.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: file)
    }

    func link(_ path: String, to target: String) throws {
        let file = root.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: file.path, withDestinationPath: target)
    }

    /// A block device's node. Needs root, and a file system that is not mounted with `nodev`.
    func node(_ path: String, _ number: String) throws {
        try run("mknod", ["--mode=600", root.appending(path: path).path, "b"] + number.split(separator: ":").map(String.init))
    }

    /// A whole disk. `sectors` counts 512 bytes, as the kernel does whatever the logical block size.
    func disk(
        _ name: String, _ number: String, sectors: UInt64, blockSize: Int = 512, removable: Bool = false,
        readOnly: Bool = false, holders: [String] = [], more: [String: String] = [:]
    ) throws {
        let folder = "sys/class/block/\(name)"
        var files = [
            "dev": number, "size": "\(sectors)", "removable": removable ? "1" : "0", "ro": readOnly ? "1" : "0",
            "hidden": "0", "queue/logical_block_size": "\(blockSize)", "queue/physical_block_size": "4096",
            "queue/rotational": "0", "queue/max_sectors_kb": "1280", "queue/nr_requests": "256",
            "queue/dma_alignment": "511",
        ]
        files.merge(more) { $1 }
        for (file, text) in files { try write("\(folder)/\(file)", text + "\n") }
        for holder in holders { try link("\(folder)/holders/\(holder)", to: "../../\(holder)") }
        try link("sys/dev/block/\(number)", to: "../../class/block/\(name)")
    }

    /// A partition of `disk`, seen both below it and beside it, as in sysfs.
    func partition(_ name: String, _ number: String, of disk: String, holders: [String] = []) throws {
        let folder = "sys/class/block/\(disk)/\(name)"
        try write("\(folder)/partition", "1\n")
        try write("\(folder)/dev", number + "\n")
        for holder in holders { try link("\(folder)/holders/\(holder)", to: "../../../\(holder)") }
        try link("sys/class/block/\(name)", to: "\(disk)/\(name)")
        try link("sys/dev/block/\(number)", to: "../../class/block/\(name)")
    }
}

/// A line of mountinfo for a device and a mount point.
func mountLine(_ number: String, _ mountPoint: String, source: String, type: String = "ext4") -> String {
    "36 35 \(number) / \(mountPoint) rw,noatime shared:1 master:2 - \(type) \(source) rw,errors=continue"
}
