import CCurl
import Glibc

/// Status and headers of a response, as received so far.
struct HTTPResponse {
    /// More than this is an attack or a fault.
    static let headerBytesMax = 64 << 10

    private(set) var status = 0
    private(set) var isComplete = false
    private var fields: [String: String] = [:]
    private var headerBytes = 0

    /// Processes one header line as libcurl passes it. Returns false if there are more than `headerBytesMax`.
    ///
    /// Each byte becomes one character (ISO 8859-1), so that different lines give different text. A field may contain any bytes
    /// beyond ASCII (RFC 9110 §5.5) and need not be UTF-8.
    mutating func add(line: RawSpan) -> Bool { add(line: latin1(line)) }

    /// A status line starts over: the final response follows an interim one (1xx).
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
            // A repeated field is equivalent to a list (RFC 9110 §5.3), which is not allowed for the fields used here.
            fields[name] = fields[name].map { $0 + ", " + value } ?? value
        }
        return true
    }

    /// The value of a header field, given its name in lower case.
    subscript(name: String) -> String? { fields[name] }

    var contentRange: ContentRange? { fields["content-range"].flatMap { ContentRange($0) } }

    /// The total length of the body; nil if only its end will show it.
    var contentLength: UInt64? {
        fields["transfer-encoding"] == nil ? fields["content-length"].flatMap { decimalNumber($0[...]) } : nil
    }

    /// Whether the body is the representation itself, without a content coding (RFC 9110 §8.4).
    var isIdentity: Bool { fields["content-encoding"].map { $0.lowercased() == "identity" || $0.isEmpty } ?? true }

    /// `Retry-After`, seconds or a date (RFC 9110 §10.2.3), as seconds from now.
    var retryAfterSeconds: Double? {
        guard let value = fields["retry-after"] else { return nil }
        // A number too large for an integer means a long time.
        if !value.isEmpty, value.utf8.allSatisfy(isDigit) { return Double(value) }
        let date = unsafe curl_getdate(value, nil)
        return date < 0 ? nil : max(0, Double(date - time(nil)))
    }
}

/// `Content-Range: bytes 0-99/1234` (RFC 9110 §14.4).
struct ContentRange: Equatable {
    /// Nil in the unsatisfied form, `bytes */1234`.
    let range: Range<UInt64>?
    /// Nil if unknown: `bytes 0-99/*`.
    let totalBytes: UInt64?

    /// Nil if `text` is malformed or contradictory: the last byte before the first, or beyond the total.
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

/// Each byte as the character with that number (ISO 8859-1).
func latin1(_ bytes: RawSpan) -> String {
    var text = String.UnicodeScalarView()
    for index in bytes.byteOffsets {
        // SAFETY: the offset is inside the span, and any byte is a valid UInt8.
        text.append(Unicode.Scalar(unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)))
    }
    return String(text)
}

/// Accepts digits only; `UInt64.init` would also accept a sign.
private func decimalNumber(_ text: Substring) -> UInt64? {
    text.utf8.allSatisfy(isDigit) ? UInt64(text) : nil
}

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

/// The text without surrounding blanks and line ends.
private func trimmed(_ text: Substring) -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\n" || $0 == "\r\n" }
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return String(text)
}
