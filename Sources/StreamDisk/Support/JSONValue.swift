import CosiFormat

/// A JSON value for output (RFC 8259). Keys are sorted, so equal values give equal text.
public enum JSONValue: Sendable {
    case null
    case flag(Bool)
    case count(UInt64)
    /// A value that is not finite is written as null.
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    /// The text, or null.
    package static func optional(_ text: String?) -> JSONValue { text.map { .text($0) } ?? .null }

    /// The value on one line, without a newline.
    public var line: String {
        var text = ""
        write(to: &text, indent: nil)
        return text
    }

    /// The value indented for people, with a final newline.
    package var pretty: String {
        var text = ""
        write(to: &text, indent: 0)
        return text + "\n"
    }

    private func write(to text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .flag(let value): text += value ? "true" : "false"
        case .count(let value): text += "\(value)"
        case .number(let value): text += Self.decimal(value)
        case .text(let value): Self.write(value, to: &text)
        case .list(let values):
            Self.write(values, between: ("[", "]"), to: &text, indent: indent) { value, text, indent in
                value.write(to: &text, indent: indent)
            }
        case .object(let fields):
            let sorted = fields.sorted { $0.key < $1.key }
            Self.write(sorted, between: ("{", "}"), to: &text, indent: indent) { field, text, indent in
                Self.write(field.key, to: &text)
                text += indent == nil ? ":" : " : "
                field.value.write(to: &text, indent: indent)
            }
        }
    }

    private static func write<Element>(
        _ elements: [Element], between ends: (String, String), to text: inout String, indent: Int?,
        _ element: (Element, inout String, Int?) -> Void
    ) {
        let inner = indent.map { $0 + 2 }
        func newline(_ indent: Int?) { if let indent { text += "\n" + String(repeating: " ", count: indent) } }
        text += ends.0
        for (index, next) in elements.enumerated() {
            if index > 0 { text += "," }
            newline(inner)
            element(next, &text, inner)
        }
        if !elements.isEmpty { newline(indent) }
        text += ends.1
    }

    private static func decimal(_ value: Double) -> String {
        guard value.isFinite else { return "null" }
        // Whole numbers are written without a decimal point as long as they are exact.
        return value == value.rounded() && value.magnitude < 0x1p53 ? "\(Int64(value))" : "\(value)"
    }

    /// Characters that could control a terminal are written as `\uXXXX`, too, since JSON is often shown on one.
    private static func write(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where isPrintable(scalar): text.unicodeScalars.append(scalar)
            default:
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    let digits = String(unit, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            }
        }
        text += "\""
    }
}

extension [String: JSONValue] {
    package func adding(_ others: [String: JSONValue]...) -> [String: JSONValue] {
        others.reduce(self) { $0.merging($1) { _, new in new } }
    }
}
