import FoundationEssentials
import Glibc
import StreamDisk

/// Slow processors for lanes: the threads of each lane share a control group that is limited to a percentage of a core
/// (kernel documentation, "CFS Bandwidth Control"), so that two real cores stand for many slow ones.
///
/// For control groups version 1, where a group holds threads. The groups are removed when this process ends (`Workspace`).
struct LaneGroups {
    private static let periodMicroseconds = 50_000
    /// How often a process is searched for new threads.
    private static let lookSeconds = 0.002

    private let folders: [String]

    /// - Parameter percent: the share of a core for each lane.
    init(lanes: Int, percent: Double) throws {
        let top = try Self.ownGroup() + "/stream-disk-bench-\(getpid())"
        let quota = Int(Double(Self.periodMicroseconds) * percent / 100)
        folders = (0..<lanes).map { "\(top)/lane-\($0)" }
        do {
            try Workspace.makeControlGroup(top)
            // By default a group weighs as much as one thread beside it; this one must weigh as much as one thread per lane.
            try Self.write("\(1024 * lanes)", to: top + "/cpu.shares")
            for folder in folders {
                try Workspace.makeControlGroup(folder)
                try Self.write("\(Self.periodMicroseconds)", to: folder + "/cpu.cfs_period_us")
                try Self.write("\(quota)", to: folder + "/cpu.cfs_quota_us")
            }
        } catch {
            throw BenchError("no control group can hold threads to \(percent) % of a core here (\(top)): \(error)")
        }
    }

    /// Moves the process's lane threads into the groups as they start. Ends when the process has ended or all of them have been
    /// moved.
    ///
    /// - Parameter lanes: the maximum number of lanes.
    func follow(_ process: pid_t, lanes: Int) throws -> WorkerThread {
        try WorkerThread(name: "lane-groups") {
            var placed: Set<String> = []
            let list = "/proc/\(process)/task"
            while placed.count < 2 * lanes, let threads = try? FileManager.default.contentsOfDirectory(atPath: list),
                !threads.isEmpty
            {
                for thread in threads where !placed.contains(thread) {
                    let name = (try? readText("\(list)/\(thread)/comm")) ?? ""
                    guard let lane = Self.lane(ofThread: name), lane < folders.count else { continue }
                    if (try? Self.write(thread, to: folders[lane] + "/tasks")) != nil { placed.insert(thread) }
                }
                usleep(UInt32(Self.lookSeconds * 1e6))
            }
        }
    }

    /// The lane that a thread with this name belongs to: its decoder, or the thread that verifies its checksums.
    static func lane(ofThread name: String) -> Int? {
        for prefix in ["sd-decode-", "sd-check-"] where name.hasPrefix(prefix) {
            return Int(name.dropFirst(prefix.count).prefix { $0.isNumber })
        }
        return nil
    }

    /// This process's own group in the hierarchy with the `cpu` controller (cgroups(7), "/proc/[pid]/cgroup").
    private static func ownGroup() throws -> String {
        for line in try readText("/proc/self/cgroup").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[1].split(separator: ",").contains("cpu") else { continue }
            let path = "/sys/fs/cgroup/\(fields[1])\(fields[2] == "/" ? "" : fields[2])"
            if unsafe access(path + "/cpu.shares", W_OK) == 0 { return path }
        }
        throw BenchError("scaling needs the controller 'cpu' of control groups version 1 below /sys/fs/cgroup")
    }

    private static func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }
}
