/// The control groups of this process and the memory that each leaves available (cgroups(7); Documentation/admin-guide:
/// cgroup-v2.rst, cgroup-v1/memory.rst).
struct ControlGroups {
    let tree: HostFiles

    /// The files with a group's memory figures, for one version of control groups.
    private struct Files {
        /// Each contains a number of bytes, or `max`.
        let limits: [String]
        let usage: String
        /// Lines of `memory.stat` for the file cache, which the kernel reclaims when the group is full.
        let cache: [String]

        static let v2 = Files(
            limits: ["memory.max", "memory.high"], usage: "memory.current", cache: ["inactive_file", "active_file"])
        /// The totals include the groups below, as the usage does.
        static let v1 = Files(
            limits: ["memory.limit_in_bytes"], usage: "memory.usage_in_bytes",
            cache: ["total_inactive_file", "total_active_file"])
    }

    /// One for every group with a limit, from the process's own group up to the highest that is visible.
    var memoryLimits: [MemoryLimit] {
        memberships.flatMap { membership in
            folders(of: membership).compactMap { limit(of: $0, membership.files) }
        }
    }

    private func limit(of folder: String, _ files: Files) -> MemoryLimit? {
        let limits = files.limits.compactMap { tree.number("\(folder)/\($0)") as UInt64? }
        // Version 1 expresses "no limit" as a number larger than any machine's memory.
        guard let limit = limits.min(), limit < 1 << 60 else { return nil }
        let used: UInt64 = tree.number("\(folder)/\(files.usage)") ?? 0
        let cache = files.cache.reduce(UInt64(0)) { $0 + statistic($1, of: folder) }
        let held = used - min(cache, used)
        return MemoryLimit(bytes: limit - min(held, limit), origin: .controlGroup(path: folder))
    }

    private func statistic(_ name: String, of folder: String) -> UInt64 {
        guard let text = tree.text("\(folder)/memory.stat") else { return 0 }
        for line in pieces(of: text, at: "\n") where line.hasPrefix(name + " ") {
            return UInt64(line.dropFirst(name.count + 1)) ?? 0
        }
        return 0
    }

    // MARK: Paths

    private struct Membership {
        /// The group's path in its hierarchy, as the process's namespace shows it.
        let path: [Substring]
        let files: Files
    }

    /// Lines `0::/path` (version 2) and `4:memory:/path` (version 1).
    private var memberships: [Membership] {
        guard let text = tree.text("/proc/self/cgroup") else { return [] }
        return pieces(of: text, at: "\n").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            let path = fields[2].split(separator: "/")
            if fields[0] == "0", fields[1].isEmpty { return Membership(path: path, files: .v2) }
            return fields[1].split(separator: ",").contains("memory") ? Membership(path: path, files: .v1) : nil
        }
    }

    /// The folders of a group and of its ancestors, the group's own first.
    ///
    /// In a container, a mount may show only part of the hierarchy: it begins at the mount's root, and only the part of the
    /// group's path below that root counts. A group outside the root (in another namespace) is not visible; the mount's own
    /// folder then stands for its nearest visible ancestor.
    private func folders(of membership: Membership) -> [String] {
        let isV2 = membership.files.usage == Files.v2.usage
        let mounts = hierarchies.filter { $0.isV2 == isV2 }
        guard let mount = mounts.first(where: { membership.path.starts(with: $0.root) }) ?? mounts.first else { return [] }
        let isSeen = membership.path.starts(with: mount.root)
        var below = isSeen ? Array(membership.path.dropFirst(mount.root.count)) : []
        if below.contains("..") { below = [] }
        return (0...below.count).reversed().map { count in
            ([Substring(mount.point)] + below.prefix(count)).joined(separator: "/")
        }
    }

    private struct Hierarchy {
        let point: String
        let root: [Substring]
        let isV2: Bool
    }

    /// proc_pid_mountinfo(5): `36 35 98:0 ROOT POINT options [fields] - TYPE source OPTIONS`.
    private var hierarchies: [Hierarchy] {
        guard let bytes = try? tree.bytes(of: "/proc/self/mountinfo", limitBytes: 16 << 20) else { return [] }
        return pieces(of: String(decoding: bytes, as: UTF8.self), at: "\n").compactMap { line in
            let fields = pieces(of: line, at: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 5, fields.count > dash + 1 else { return nil }
            let isV2 = fields[dash + 1] == "cgroup2"
            let isV1 = fields[dash + 1] == "cgroup" && fields.last?.split(separator: ",").contains("memory") == true
            guard isV1 || isV2 else { return nil }
            return Hierarchy(point: unescaped(fields[4]), root: fields[3].split(separator: "/"), isV2: isV2)
        }
    }

    /// Space, tab, newline and backslash are written as `\040` and so on.
    private func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
