import CLinux
import CosiFormat
package import Glibc

/// This machine's architecture; nil if COSI has no name for it (uname(2)).
func hostArchitecture() -> CosiMetadata.Architecture? {
    var names = utsname()
    guard unsafe uname(&names) == 0 else { return nil }
    // SAFETY: the kernel terminates the field with a NUL within its size.
    let machine = unsafe withUnsafeBytes(of: &names.machine) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return switch machine {
    case "x86_64": .x86_64
    case "aarch64": .arm64
    default: nil
    }
}

/// The peak resident set size of this process in bytes (proc(5), VmHWM).
package func peakMemoryBytes() -> UInt64 {
    if let peak = HostFiles(root: "/").text("/proc/self/status").flatMap({ procKibibytes("VmHWM", in: $0) }) { return peak }
    // Without /proc: getrusage(2), which also counts the program that this process ran before execve(2).
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return UInt64(usage.ru_maxrss) << 10
}

/// Number of processors this process may run on (sched_getaffinity(2)); at least 1.
package func processorCount() -> Int {
    max(1, Int(cl_usable_processors()))
}

/// The soft limit of a resource; nil if unlimited (getrlimit(2)).
package func softLimit(_ resource: __rlimit_resource) -> UInt64? {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else { return nil }
    return UInt64(limit.rlim_cur)
}
