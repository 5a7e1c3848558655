import CosiFormat
import FoundationEssentials

/// A JSON value to be written.
enum JSONValue: Encodable {
    case null
    case flag(Bool)
    case count(UInt64)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    /// The text, or null.
    static func optional(_ text: String?) -> JSONValue { text.map { .text($0) } ?? .null }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .flag(let value): try container.encode(value)
        case .count(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let values): try container.encode(values)
        case .object(let fields): try container.encode(fields)
        }
    }

    /// On one line, keys sorted, with the newline.
    var line: String { encoded([.sortedKeys, .withoutEscapingSlashes]) }

    /// Indented, for people.
    var pretty: String { encoded([.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]) }

    private func encoded(_ format: JSONEncoder.OutputFormatting) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = format
        // Only a number that is not finite could fail, and there is none.
        guard let data = try? encoder.encode(self) else { return "{}\n" }
        return Self.escaped(String(decoding: data, as: UTF8.self)) + "\n"
    }

    /// What could drive a terminal stands in strings only, and is written as `\uXXXX` there: JSON is shown on terminals too.
    private static func escaped(_ json: String) -> String {
        guard !json.utf8.allSatisfy({ $0 < 0x7f }) else { return json }
        var result = ""
        for scalar in json.unicodeScalars {
            if scalar == "\n" || isPrintable(scalar) {
                result.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result
    }
}

extension [String: JSONValue] {
    func adding(_ others: [String: JSONValue]...) -> [String: JSONValue] {
        others.reduce(self) { $0.merging($1) { _, new in new } }
    }
}
