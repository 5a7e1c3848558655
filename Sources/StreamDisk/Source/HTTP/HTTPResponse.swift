import CCurl
import Glibc

/// Status and headers of one answer, as far as they have come.
struct HTTPResponse {
    /// More than this is an attack or a fault.
    static let headerBytesMax = 64 << 10

    private(set) var status = 0
    private(set) var isComplete = false
    private var fields: [String: String] = [:]
    private var headerBytes = 0

    /// Takes one header line as libcurl hands it out. False: more headers than `headerBytesMax`.
    ///
    /// Each byte is one character (ISO 8859-1), so that no two different lines read alike: a field may hold any bytes beyond
    /// ASCII (RFC 9110 §5.5), and UTF-8 is not promised.
    mutating func add(line: RawSpan) -> Bool { add(line: latin1(line)) }

    /// A status line starts anew: an interim answer (1xx) is followed by the real one.
    mutating func add(line: String) -> Bool {
        headerBytes += line.utf8.count
        guard headerBytes <= Self.headerBytesMax else { return false }
        if line.hasPrefix("HTTP/") {
            let bytes = headerBytes
            self = HTTPResponse()
            headerBytes = bytes
            status = line.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int(trimmed($0)) } ?? 0
        } else if trimmed(line[...]).isEmpty {
            isComplete = status >= 200
        } else if let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) {
            let name = line[..<colon].lowercased()
            let value = trimmed(line[colon...].dropFirst())
            // A field sent twice reads as a list (RFC 9110 §5.3), which the fields of interest here must not be.
            fields[name] = fields[name].map { $0 + ", " + value } ?? value
        }
        return true
    }

    /// The value of a header field, its name in lower case.
    subscript(name: String) -> String? { fields[name] }

    var contentRange: ContentRange? { fields["content-range"].flatMap { ContentRange($0) } }

    /// The whole length of the body; nil when only its end will tell.
    var contentLength: UInt64? {
        fields["transfer-encoding"] == nil ? fields["content-length"].flatMap { decimalNumber($0[...]) } : nil
    }

    /// Whether the body is the representation itself, not a coding of it (RFC 9110 §8.4).
    var isIdentity: Bool { fields["content-encoding"].map { $0.lowercased() == "identity" || $0.isEmpty } ?? true }

    /// `Retry-After`, seconds or a date (RFC 9110 §10.2.3), as seconds from now.
    var retryAfterSeconds: Double? {
        guard let value = fields["retry-after"] else { return nil }
        // A number of any length: one that fits no integer asks for a long time, not for none.
        if !value.isEmpty, value.utf8.allSatisfy(isDigit) { return Double(value) }
        let date = unsafe curl_getdate(value, nil)
        return date < 0 ? nil : max(0, Double(date - time(nil)))
    }
}

/// `Content-Range: bytes 0-99/1234` (RFC 9110 §14.4).
struct ContentRange: Equatable {
    /// Nil in the unsatisfied form, `bytes */1234`.
    let range: Range<UInt64>?
    /// Nil when unknown, `bytes 0-99/*`.
    let totalBytes: UInt64?

    /// Nil when `text` has not that form, or says what cannot be: a last byte before the first, or beyond the total.
    init?(_ text: String) {
        let parts = text.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bytes" else { return nil }
        let sides = parts[1].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2 else { return nil }
        let total = decimalNumber(sides[1])
        guard total != nil || sides[1] == "*" else { return nil }
        totalBytes = total
        if sides[0] == "*" {
            guard total != nil else { return nil }
            range = nil
            return
        }
        let ends = sides[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, let first = decimalNumber(ends[0]), let last = decimalNumber(ends[1]),
            first <= last, last < total ?? UInt64.max
        else { return nil }
        range = first..<last + 1
    }
}

/// Each byte as the character of that number (ISO 8859-1).
func latin1(_ bytes: RawSpan) -> String {
    var text = String.UnicodeScalarView()
    for index in bytes.byteOffsets {
        // SAFETY: an offset of the span, and any byte is a UInt8.
        text.append(Unicode.Scalar(unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)))
    }
    return String(text)
}

/// Digits only, in range: not what `UInt64.init` also takes, such as a sign.
private func decimalNumber(_ text: Substring) -> UInt64? {
    text.utf8.allSatisfy(isDigit) ? UInt64(text) : nil
}

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

/// Without the blanks and line ends around it.
private func trimmed(_ text: Substring) -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\n" || $0 == "\r\n" }
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return String(text)
}
