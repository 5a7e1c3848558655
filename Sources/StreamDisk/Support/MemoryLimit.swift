/// A bound on the memory that a run may have, and who sets it.
public struct MemoryLimit: Sendable, Equatable {
    /// Who sets it.
    public enum Origin: Sendable, Equatable {
        /// `StreamOptions.memoryLimitBytes`.
        case asked
        /// What the host has to give (proc(5), MemAvailable).
        case host
        /// What a control group has left, by its `memory.max`, `memory.high` or `memory.limit_in_bytes`.
        case controlGroup(path: String)
        /// What RLIMIT_AS leaves of address space, and RLIMIT_DATA of memory of the process's own (getrlimit(2)).
        case addressSpace, data
    }

    /// So much may be had.
    public let bytes: UInt64
    /// Who sets it.
    public let origin: Origin

    /// Whether memory counts that is reserved and was not touched.
    var countsReserved: Bool { origin == .addressSpace || origin == .data }
    /// Whether it is what is left beside the memory that the process has by now.
    var isWhatIsLeft: Bool { origin != .asked }
}

/// All the bounds of one run. Whoever needs memory asks here, before the disk is touched.
package struct MemoryLimits: Sendable {
    let all: [MemoryLimit]

    package static let none = MemoryLimits(all: [])

    /// What this process may have now. Without `askedBytes` a quarter of the host's is left to others.
    init(askedBytes: UInt64?, memory: AvailableMemory = AvailableMemory()) {
        var all = memory.limits
        if let askedBytes {
            all.append(MemoryLimit(bytes: askedBytes, origin: .asked))
        } else {
            all = all.map { $0.origin == .host ? MemoryLimit(bytes: $0.bytes / 4 * 3, origin: .host) : $0 }
        }
        self.all = all
    }

    init(all: [MemoryLimit]) { self.all = all }

    /// The tightest limit that `need` does not fit into; nil where it fits into all of them.
    func exceeded(by need: MemoryNeed) -> MemoryLimit? {
        all.filter { need.bytes(under: $0) > $0.bytes }.min { $0.bytes < $1.bytes }
    }
}

/// What a run will have of memory when it is at its largest, beside what every run has.
struct MemoryNeed {
    /// The program's own, there by the time anybody asks.
    private static let programBytes: UInt64 = 4 << 20
    /// The image's head, the tables, what libcurl and OpenSSL hold, and what the kernel does on our behalf: sockets have up to
    /// 6 MiB each (tcp(7), tcp_rmem), io_uring 1 MiB.
    private static let runBytes: UInt64 = 16 << 20

    /// Will be touched.
    var bytes: UInt64
    /// Address space that is reserved beside, and never touched.
    var reservedBytes: UInt64 = 0

    func bytes(under limit: MemoryLimit) -> UInt64 {
        bytes + Self.runBytes + (limit.isWhatIsLeft ? 0 : Self.programBytes) + (limit.countsReserved ? reservedBytes : 0)
    }
}
