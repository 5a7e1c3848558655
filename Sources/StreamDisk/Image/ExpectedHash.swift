import CosiFormat

/// The hash that the user expects of an image's metadata.
public enum ExpectedHash: Sendable, Equatable {
    /// Any hash is accepted. The images' own hashes are still checked.
    case ignored
    /// SHA-384 of the bytes of `metadata.json`: 48 bytes.
    case sha384([UInt8])

    /// Parses `ignored` or `sha384:` and 96 hexadecimal digits, in any case; nil for anything else.
    public init?(_ text: String) {
        let lower = text.lowercased()
        if lower == "ignored" {
            self = .ignored
            return
        }
        let prefix = "sha384:"
        guard lower.hasPrefix(prefix), let bytes = [UInt8](hexadecimal: lower.dropFirst(prefix.count)),
            bytes.count == SHA384.digestBytes
        else { return nil }
        self = .sha384(bytes)
    }

    /// Why `text` cannot be an expected hash, and what to give instead; nil if it can.
    public static func refusal(of text: String) -> String? {
        if ExpectedHash(text) != nil { return nil }
        let lower = text.lowercased()
        let wanted = "the SHA-384 of its metadata, as 'inspect' shows it: sha384: and 96 hexadecimal digits, or ignored"
        if ExpectedHash("sha384:" + text) != nil { return "says no algorithm: write sha384:\(lower)" }
        let algorithm = String(lower.prefix { $0 != ":" })
        if ["md5", "sha1", "sha224", "sha256", "sha512", "blake2", "b2", "blake3"].contains(algorithm) {
            return "is of \(algorithm), by which images of this format cannot be checked: give \(wanted)"
        }
        if lower.hasPrefix("sha384:") {
            let count = lower.utf8.count - "sha384:".utf8.count
            return count == 2 * SHA384.digestBytes
                ? "has something among its digits that is not hexadecimal: give \(wanted)"
                : "has \(count) digits: give \(wanted)"
        }
        return "is none: give \(wanted)"
    }
}
