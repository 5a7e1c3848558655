import FoundationEssentials

/// An external JSON text: its bounds are checked (``JSONShape``) before a parser sees it.
package struct JSONDocument {
    private let bytes: [UInt8]
    private let name: String

    /// - Parameters:
    ///   - name: the document's name in errors.
    ///   - bytesMax: a longer text is refused.
    package init(_ bytes: [UInt8], name: String, bytesMax: Int) throws(FormatError) {
        try JSONShape.check(bytes, name: name, bytesMax: bytesMax)
        (self.bytes, self.name) = (bytes, name)
    }

    /// Decodes the names and types that `type` declares; an error names the field.
    package func decode<T: Decodable>(_ type: T.Type) throws(FormatError) -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw formatError(error)
        } catch {
            throw FormatError(.metadata, place: name, problem: "is not valid JSON")
        }
    }

    private func formatError(_ error: DecodingError) -> FormatError {
        switch error {
        case .keyNotFound(let key, let context):
            return FormatError(.metadata, place: place(context.codingPath + [key]), problem: "is missing")
        case .valueNotFound(_, let context):
            return FormatError(.metadata, place: place(context.codingPath), problem: "is null")
        case .typeMismatch(let type, let context):
            return FormatError(.metadata, place: place(context.codingPath), problem: "is not \(Self.jsonName(of: type))")
        case .dataCorrupted(let context):
            guard context.codingPath.isEmpty else {
                return FormatError(
                    .metadata, place: place(context.codingPath), problem: "is not a whole number from 0 to 2^64 - 1")
            }
            let detail = context.underlyingError.map { ": " + printable("\($0)") } ?? ""
            return FormatError(.metadata, place: name, problem: "is not valid JSON" + detail)
        @unknown default:
            return FormatError(.metadata, place: name, problem: "is not valid JSON")
        }
    }

    private static func jsonName(of type: Any.Type) -> String {
        if type == String.self { return "a string" }
        if type == UInt64.self || type == Int.self { return "a number" }
        return type is any Collection.Type ? "an array" : "an object"
    }

    private func place(_ codingPath: [any CodingKey]) -> String {
        var text = ""
        for key in codingPath {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : "." + key.stringValue
            }
        }
        return text.isEmpty ? name : name + ": " + text
    }
}
