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
