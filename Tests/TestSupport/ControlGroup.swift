import Foundation
import Glibc
import Testing

/// A control group with one limit, for one test; by whichever version the host has. Needs root.
struct ControlGroup {
    enum Limit {
        case memory(mebibytes: Int)
        case processes(Int)

        fileprivate var controller: String { if case .memory = self { "memory" } else { "pids" } }
    }

    static let isAvailable =
        (geteuid() == 0 && [Limit.memory(mebibytes: 0), .processes(0)].allSatisfy { parent(of: $0) != nil })
        || ProcessInfo.processInfo.environment["CI"] == "true"
    static let needs: Comment = "control groups need root: run the tests as root to include this one"

    let folder: String
    private let isVersion2: Bool
    /// Runs a program in it.
    var command: [String] { ["sh", "-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\"", folder] }

    /// Runs `body` with such a group.
    static func with(_ limit: Limit, _ body: (ControlGroup) throws -> Void) throws {
        let (above, isVersion2) = try #require(Self.parent(of: limit))
        let group = ControlGroup(folder: "\(above)/stream-disk-\(UUID().uuidString)", isVersion2: isVersion2)
        try FileManager.default.createDirectory(atPath: group.folder, withIntermediateDirectories: false)
        // The last member is let go of a moment after it was waited for.
        defer { for _ in 0..<100 where unsafe rmdir(group.folder) != 0 && errno == EBUSY { usleep(20_000) } }
        switch limit {
        case .memory(let mebibytes):
            try group.write("\(mebibytes << 20)", to: isVersion2 ? "memory.max" : "memory.limit_in_bytes")
            if isVersion2 { try? group.write("0", to: "memory.swap.max") }
        case .processes(let count): try group.write("\(count)", to: "pids.max")
        }
        try body(group)
    }

    /// The most memory that it ever had, in bytes.
    var peakBytes: Int? {
        let text = try? String(
            contentsOfFile: folder + (isVersion2 ? "/memory.peak" : "/memory.max_usage_in_bytes"), encoding: .utf8)
        return text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    private func write(_ text: String, to file: String) throws {
        try text.write(toFile: "\(folder)/\(file)", atomically: false, encoding: .utf8)
    }

    /// Version 1: this process's own group. Version 2: the topmost one, where alone a group may have members beside groups.
    private static func parent(of limit: Limit) -> (folder: String, isVersion2: Bool)? {
        let lines = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        for line in lines.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[1].split(separator: ",").contains(Substring(limit.controller)) else { continue }
            let folder = "/sys/fs/cgroup/\(fields[1])\(fields[2])"
            return unsafe access(folder + "/cgroup.procs", W_OK) == 0 ? (folder, false) : nil
        }
        let top = "/sys/fs/cgroup"
        try? "+\(limit.controller)".write(toFile: top + "/cgroup.subtree_control", atomically: false, encoding: .utf8)
        let divided = (try? String(contentsOfFile: top + "/cgroup.subtree_control", encoding: .utf8)) ?? ""
        return divided.contains(limit.controller) ? (top, true) : nil
    }
}
