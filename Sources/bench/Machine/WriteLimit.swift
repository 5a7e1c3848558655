import FoundationEssentials
import Glibc

/// Holds the writes of this process and its children to a rate, on one device: by a blkio control group of its own, so that nobody
/// else's are touched (kernel documentation, "Block IO Controller"). It goes when the process ends.
enum WriteLimit {
    private static let root = "/sys/fs/cgroup/blkio"
    private static let group = root + "/stream-disk-bench-\(getpid())"

    static func set(device: String, bytesPerSecond: Int) throws {
        guard let numbers = Child.firstLine(["lsblk", "--nodeps", "--noheadings", "--output", "MAJ:MIN", device])
        else { throw BenchError("\(device): its number is not known") }
        do {
            try FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: false)
            let rule = numbers.filter { !$0.isWhitespace } + " \(bytesPerSecond)"
            try write(rule, to: group + "/blkio.throttle.write_bps_device")
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
