import Glibc

/// How much memory this process can still have, by the host, its control groups and its own limits: as the kernel tells under
/// /proc and /sys, or in a tree laid out like them. What does not tell sets no limit.
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
            // Where /proc does not tell, what is reserved before the first write shows whether it fits.
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
