import FoundationEssentials
import Glibc

/// Holds the writes of this process and its children to a rate, on the disk under a folder: by a blkio control group of its own,
/// so that nobody else's are touched (kernel documentation, "Block IO Controller"). It goes when the process ends.
///
/// On the disk under the loop device's file, not on the loop device: there the kernel would charge zeroing like writing.
enum WriteLimit {
    private static let root = "/sys/fs/cgroup/blkio"
    private static let group = root + "/stream-disk-bench-\(getpid())"

    static func set(folder: String, bytesPerSecond: Int) throws {
        guard let number = Child.firstLine(["stat", "-c", "%Hd:%Ld", folder]) else {
            throw BenchError("\(folder): its device is not known")
        }
        let device = "/sys/dev/block/" + number
        // A rule names a whole disk.
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
