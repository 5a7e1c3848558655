import Glibc

/// How much more memory this process can have: the limits of the host, its control groups and its own resource limits, as the
/// kernel reports them under /proc and /sys (or in a made-up tree). A source that cannot be read sets no limit.
struct AvailableMemory {
    var tree = HostFiles(root: "/")
    /// RLIMIT_AS and RLIMIT_DATA; nil without a limit.
    var addressSpaceMax = softLimit(RLIMIT_AS)
    var dataMax = softLimit(RLIMIT_DATA)

    var limits: [MemoryLimit] {
        var limits: [MemoryLimit] = []
        if let bytes = kibibytes("MemAvailable", of: "/proc/meminfo") {
            limits.append(MemoryLimit(bytes: bytes, origin: .host))
        }
        limits += ControlGroups(tree: tree).memoryLimits
        for (limit, used, origin) in [
            (addressSpaceMax, "VmSize", MemoryLimit.Origin.addressSpace), (dataMax, "VmData", .data),
        ] {
            // If /proc cannot be read, the reservations before the first write show whether the memory is there.
            guard let limit, let used = kibibytes(used, of: "/proc/self/status") else { continue }
            limits.append(MemoryLimit(bytes: limit - min(used, limit), origin: origin))
        }
        return limits
    }

    private func kibibytes(_ name: String, of path: String) -> UInt64? { tree.text(path).flatMap { procKibibytes(name, in: $0) } }
}

/// The value of a line of the form `Name:   123 kB` (proc(5)), in bytes.
func procKibibytes(_ name: String, in text: String) -> UInt64? {
    for line in pieces(of: text, at: "\n") where line.hasPrefix(name + ":") {
        return UInt64(line.drop { !$0.isNumber }.prefix { $0.isNumber }).map { $0 << 10 }
    }
    return nil
}
