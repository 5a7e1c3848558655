import Glibc

/// The time of day as RFC 3339 has it, such as `2026-11-24T15:24:14Z`.
func utcTimeText() -> String {
    // SAFETY: both are this function's own, and hold numbers only for what is read here.
    var (now, parts) = unsafe (time(nil), tm())
    unsafe gmtime_r(&now, &parts)
    let numbers = unsafe [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec]
    let texts = numbers.map { $0 < 10 ? "0\($0)" : "\($0)" }
    return texts[..<3].joined(separator: "-") + "T" + texts[3...].joined(separator: ":") + "Z"
}
