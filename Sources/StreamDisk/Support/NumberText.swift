/// A size for people, with the exact number of bytes, so that nearly equal sizes can be told apart.
///
/// "8.0 GiB (8589934592 bytes)"; below 1 KiB just "512 bytes". The short form is truncated, never rounded up.
package func sizeText(_ bytes: UInt64) -> String {
    bytes < 1024 ? "\(bytes) bytes" : "\(shortSizeText(bytes)) (\(bytes) bytes)"
}

/// "8.0 GiB", "512 B": truncated after one decimal, never rounded up.
package func shortSizeText(_ bytes: UInt64) -> String {
    if bytes < 1024 { return "\(bytes) B" }
    let names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var shift: UInt64 = 10
    var index = 0
    while index + 1 < names.count, bytes >> shift >= 1024 {
        shift += 10
        index += 1
    }
    // The remainder is below 2^60, so ten times it fits.
    let rest = bytes - (bytes >> shift) << shift
    return "\(bytes >> shift).\((rest * 10) >> shift) \(names[index])"
}

/// One decimal place, rounded; negative numbers become 0.
package func oneDecimal(_ value: Double) -> String {
    let tenths = Int((min(max(value, 0), 1e15) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// "30", "0.4": like `oneDecimal`, but whole seconds have no decimal point.
func secondsText(_ seconds: Double) -> String {
    let text = oneDecimal(seconds)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
