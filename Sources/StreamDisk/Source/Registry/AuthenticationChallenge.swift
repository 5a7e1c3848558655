/// One challenge of a `WWW-Authenticate` header field: how a server wants clients to authenticate (RFC 9110 §11.6.1).
struct AuthenticationChallenge: Equatable {
    /// In lower case.
    let scheme: String
    /// By name, in lower case. If a name occurs twice, the first value counts.
    fileprivate(set) var parameters: [String: String] = [:]

    /// All challenges of a header field. Skips whatever is not a challenge.
    static func parse(_ text: String) -> [AuthenticationChallenge] {
        var rest = Array(text.utf8)[...]
        var found: [AuthenticationChallenge] = []
        while true {
            rest = rest.drop { isBlank($0) || $0 == UInt8(ascii: ",") }
            guard !rest.isEmpty else { return found }
            let word = rest.prefix { isTokenByte($0) }
            guard !word.isEmpty else {
                // Not a challenge, such as a quoted string without a name.
                rest = rest.dropFirst()
                continue
            }
            rest = rest.dropFirst(word.count)
            let name = String(decoding: word, as: UTF8.self).lowercased()
            let behind = rest.drop(while: isBlank)
            guard behind.first == UInt8(ascii: "="), !found.isEmpty else {
                found.append(AuthenticationChallenge(scheme: name))
                continue
            }
            rest = behind.dropFirst().drop(while: isBlank)
            let value = takeValue(&rest)
            if found[found.count - 1].parameters[name] == nil { found[found.count - 1].parameters[name] = value }
        }
    }

    /// A token, or a quoted string (RFC 9110 §5.6.4).
    private static func takeValue(_ rest: inout ArraySlice<UInt8>) -> String {
        guard rest.first == UInt8(ascii: "\"") else {
            let token = rest.prefix { !isBlank($0) && $0 != UInt8(ascii: ",") }
            rest = rest.dropFirst(token.count)
            return String(decoding: token, as: UTF8.self)
        }
        rest = rest.dropFirst()
        var value: [UInt8] = []
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
            value.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
        }
        return String(decoding: value, as: UTF8.self)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
    }
}
