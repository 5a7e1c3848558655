/// A size for people: readable, and exact where it matters which of two nearly equal sizes is larger.
///
/// "8.0 GiB (8589934592 bytes)"; under 1 KiB just "512 bytes". The short form is cut off, never rounded up.
package func sizeText(_ bytes: UInt64) -> String {
    bytes < 1024 ? "\(bytes) bytes" : "\(shortSizeText(bytes)) (\(bytes) bytes)"
}

/// "8.0 GiB", "512 B": cut off after one decimal, never rounded up.
package func shortSizeText(_ bytes: UInt64) -> String {
    if bytes < 1024 { return "\(bytes) B" }
    let names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var shift: UInt64 = 10
    var index = 0
    while index + 1 < names.count, bytes >> shift >= 1024 {
        shift += 10
        index += 1
    }
    // The rest is under 2^60, so ten times it fits.
    let rest = bytes - (bytes >> shift) << shift
    return "\(bytes >> shift).\((rest * 10) >> shift) \(names[index])"
}

/// One digit behind the point, rounded; negative numbers are 0.
package func oneDecimal(_ value: Double) -> String {
    let tenths = Int((min(max(value, 0), 1e15) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// "30", "0.4": as `oneDecimal`, whole seconds without a point.
func secondsText(_ seconds: Double) -> String {
    let text = oneDecimal(seconds)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
