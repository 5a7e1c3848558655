/// A size as a user writes it: in bytes, or as 512K, 64M, 1.5G, 1T in powers of 1024, with or without iB after the letter.
public struct ByteCount: Sendable {
    /// The size in bytes.
    public let bytes: UInt64

    package init(bytes: UInt64) { self.bytes = bytes }

    /// Nil if `text` is not a size.
    public init?(_ text: String) {
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
        // A Double is exact below 2^53, far above any size of memory. A fraction of a byte is not a size.
        let bytes = number * Double(1 << shift)
        guard bytes < Double(1 << 53), shift > 0 || number == number.rounded() else { return nil }
        self.bytes = UInt64(bytes)
    }
}

/// A time as a user writes it: in seconds, or as 30s, 5m, 1.5h.
public struct TimeSpan: Sendable, CustomStringConvertible {
    /// A year. A longer time is a mistake.
    static let secondsMax = 365 * 86_400.0

    /// The time in seconds.
    public let seconds: Double

    /// A time in seconds, such as a default.
    public init(seconds: Double) { self.seconds = seconds }

    /// Nil if `text` is not a time.
    public init?(_ text: String) {
        guard let (number, unit) = Decimal.split(text) else { return nil }
        switch unit.lowercased() {
        case "", "s": seconds = number
        case "m": seconds = number * 60
        case "h": seconds = number * 3600
        default: return nil
        }
    }

    /// Whether it is above zero and at most a year.
    public var isUsable: Bool { seconds > 0 && seconds <= Self.secondsMax }

    /// The time as a user may write it, such as `5m`.
    public var description: String {
        guard seconds == seconds.rounded(), isUsable else { return "\(seconds)s" }
        let whole = Int(seconds)
        if whole % 3600 == 0 { return "\(whole / 3600)h" }
        return whole % 60 == 0 ? "\(whole / 60)m" : "\(whole)s"
    }
}

/// A plain decimal number at the start of a text.
private enum Decimal {
    /// The number and the text after it; nil if there is no number, and for signs, exponents, `inf` and `nan`.
    static func split(_ text: String) -> (number: Double, unit: Substring)? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let first = digits.first, first != ".", digits.last != ".", let number = Double(digits) else { return nil }
        return (number, text[digits.endIndex...])
    }
}
