/// A limit on the memory of a run, and where it comes from.
public struct MemoryLimit: Sendable, Equatable {
    /// Where the limit comes from.
    package enum Origin: Sendable, Equatable {
        /// `StreamOptions.memoryLimitBytes`.
        case asked
        /// The host's available memory (proc(5), MemAvailable).
        case host
        /// What a control group has left under its `memory.max`, `memory.high` or `memory.limit_in_bytes`.
        case controlGroup(path: String)
        /// What RLIMIT_AS leaves of the address space, and RLIMIT_DATA of the process's private memory (getrlimit(2)).
        case addressSpace, data
    }

    /// The memory that may be used.
    package let bytes: UInt64
    /// Where the limit comes from.
    package let origin: Origin

    /// Whether memory counts that is reserved but not touched.
    var countsReserved: Bool { origin == .addressSpace || origin == .data }
    /// Whether the limit excludes the memory that the process already has.
    var isWhatIsLeft: Bool { origin != .asked }
}

/// All memory limits of a run. Code that needs memory asks here before the disk is touched.
package struct MemoryLimits: Sendable {
    let all: [MemoryLimit]

    package static let none = MemoryLimits(all: [])

    /// The limits of this process now. Without `askedBytes`, a quarter of the host's available memory is left to others.
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

    /// The tightest limit that `need` exceeds; nil if it fits into all of them.
    func exceeded(by need: MemoryNeed) -> MemoryLimit? {
        all.filter { need.bytes(under: $0) > $0.bytes }.min { $0.bytes < $1.bytes }
    }
}

/// The peak memory of a run, beyond what every run needs.
struct MemoryNeed {
    /// The program itself, in memory before any limit is checked.
    private static let programBytes: UInt64 = 4 << 20
    /// The image's head, the tables, libcurl and OpenSSL, and kernel memory that counts against this process: up to 6 MiB per
    /// socket (tcp(7), tcp_rmem) and 1 MiB for io_uring.
    private static let runBytes: UInt64 = 16 << 20

    /// Memory that will be touched.
    var bytes: UInt64
    /// Further address space that is reserved but never touched.
    var reservedBytes: UInt64 = 0

    func bytes(under limit: MemoryLimit) -> UInt64 {
        bytes + Self.runBytes + (limit.isWhatIsLeft ? 0 : Self.programBytes) + (limit.countsReserved ? reservedBytes : 0)
    }
}
