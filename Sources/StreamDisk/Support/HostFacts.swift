import CLinux
import CosiFormat
import Glibc

/// This machine's architecture, nil for one that COSI does not know (uname(2)).
func hostArchitecture() -> CosiMetadata.Architecture? {
    var names = utsname()
    guard unsafe uname(&names) == 0 else { return nil }
    // SAFETY: the kernel ends the field with a NUL within its size.
    let machine = unsafe withUnsafeBytes(of: &names.machine) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return switch machine {
    case "x86_64": .x86_64
    case "aarch64": .arm64
    default: nil
    }
}

/// The largest resident set this process has had, in bytes (getrusage(2)).
func peakMemoryBytes() -> UInt64 {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return UInt64(usage.ru_maxrss) << 10
}

/// Processors this process may run on (sched_getaffinity(2)); at least 1.
func processorCount() -> Int {
    max(1, Int(cl_usable_processors()))
}

/// Three quarters of the memory the kernel says can be had without swapping (proc(5), MemAvailable); nil when it does not say.
func defaultMemoryLimitBytes() -> UInt64? {
    guard let text = smallFile("/proc/meminfo") else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
        let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
        return UInt64(digits).map { $0 * 1024 / 4 * 3 }
    }
    return nil
}

/// The first 16 KiB of a file of the kernel's.
private func smallFile(_ path: String) -> String? {
    let descriptor = unsafe cl_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 16 << 10)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
}
