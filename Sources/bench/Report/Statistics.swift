/// Median, minimum and maximum of some figures; all zero if there are none.
struct Statistics: Equatable {
    let median: Double
    let min: Double
    let max: Double

    init(_ values: [Double]) {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        min = sorted.first ?? 0
        max = sorted.last ?? 0
        median =
            if sorted.isEmpty { 0 } else if sorted.count % 2 == 1 { sorted[middle] } else {
                (sorted[middle - 1] + sorted[middle]) / 2
            }
    }
}

/// This many digits after the point, without an exponent.
func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "–" }
    var factor = 1.0
    for _ in 0..<digits { factor *= 10 }
    let scaled = (abs(value) * factor).rounded()
    let whole = UInt64(scaled / factor)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let rest = String(UInt64(scaled) - whole * UInt64(factor))
    return "\(sign)\(whole)." + String(repeating: "0", count: digits - rest.count) + rest
}

/// Three significant figures, or all digits before the point: 0.0123, 1.23, 12.3, 123, 1234.
func shortNumber(_ value: Double) -> String {
    let size = abs(value)
    if size == 0 { return "0" }
    let digits = size < 0.1 ? 4 : size < 1 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0
    let text = fixed(value, digits)
    guard text.contains(".") else { return text }
    let trimmed = text.reversed().drop { $0 == "0" }
    return String(trimmed.first == "." ? trimmed.dropFirst().reversed() : trimmed.reversed())
}

/// In MiB or GiB.
func sizeWords(_ bytes: Double) -> String {
    bytes < 1_073_741_824 ? "\(shortNumber(bytes / 1_048_576)) MiB" : "\(shortNumber(bytes / 1_073_741_824)) GiB"
}
