/// A size as people write it: bytes, or 512K, 64M, 1.5G, 1T: powers of 1024, with or without iB behind the letter.
package struct ByteCount: Sendable {
    package let bytes: UInt64

    package init?(_ text: String) {
        guard let (number, unit) = Decimal.split(text) else { return nil }
        let shift: UInt64
        switch unit.lowercased() {
        case "": shift = 0
        case "k", "kib": shift = 10
        case "m", "mib": shift = 20
        case "g", "gib": shift = 30
        case "t", "tib": shift = 40
        default: return nil
        }
        // Below 2^53 a Double is exact; sizes of memory are far below it, and half a byte is none.
        let bytes = number * Double(1 << shift)
        guard bytes < Double(1 << 53), shift > 0 || number == number.rounded() else { return nil }
        self.bytes = UInt64(bytes)
    }
}

/// A time as people write it: seconds, or 30s, 5m, 1.5h.
package struct TimeSpan: Sendable, CustomStringConvertible {
    /// A year: more is a mistake.
    static let secondsMax = 365 * 86_400.0

    package let seconds: Double

    package init(seconds: Double) { self.seconds = seconds }

    package init?(_ text: String) {
        guard let (number, unit) = Decimal.split(text) else { return nil }
        switch unit.lowercased() {
        case "", "s": seconds = number
        case "m": seconds = number * 60
        case "h": seconds = number * 3600
        default: return nil
        }
    }

    /// More than none, and no mistake.
    package var isUsable: Bool { seconds > 0 && seconds <= Self.secondsMax }

    package var description: String {
        guard seconds == seconds.rounded(), isUsable else { return "\(seconds)s" }
        let whole = Int(seconds)
        if whole % 3600 == 0 { return "\(whole / 3600)h" }
        return whole % 60 == 0 ? "\(whole / 60)m" : "\(whole)s"
    }
}

/// A plain decimal number at the start of a text.
private enum Decimal {
    /// The number and what stands behind it; nil for no number, and for signs, exponents, `inf` and `nan`.
    static func split(_ text: String) -> (number: Double, unit: Substring)? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let first = digits.first, first != ".", digits.last != ".", let number = Double(digits) else { return nil }
        return (number, text[digits.endIndex...])
    }
}
