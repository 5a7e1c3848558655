import FoundationEssentials
import Glibc

/// Limits the rate at which this process and its children write to the disk under a folder, with a blkio control group of its
/// own, so that no other process is limited (kernel documentation, "Block IO Controller"). It is removed when the process ends.
///
/// The limit is on the disk below the loop device's file, not on the loop device: there the kernel counts zeroing as writing.
enum WriteLimit {
    private static let root = "/sys/fs/cgroup/blkio"
    private static let group = root + "/stream-disk-bench-\(getpid())"

    static func set(folder: String, bytesPerSecond: Int) throws {
        guard let number = Child.firstLine(["stat", "-c", "%Hd:%Ld", folder]) else {
            throw BenchError("\(folder): its device is not known")
        }
        let device = "/sys/dev/block/" + number
        // A rule must name a whole disk.
        let isPartition = FileManager.default.fileExists(atPath: device + "/partition")
        let disk = isPartition ? Child.firstLine(["cat", device + "/../dev"]) ?? number : number
        do {
            try FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: false)
            try write("\(disk) \(bytesPerSecond)", to: group + "/blkio.throttle.write_bps_device")
            try write("\(getpid())", to: group + "/cgroup.procs")
        } catch {
            throw BenchError("no control group can hold writes to a rate here (\(root)): \(error)")
        }
        atexit {
            try? WriteLimit.write("\(getpid())", to: WriteLimit.root + "/cgroup.procs")
            _ = unsafe rmdir(WriteLimit.group)
        }
    }

    private static func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }
}
