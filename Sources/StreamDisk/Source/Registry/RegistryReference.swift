import CosiFormat

/// `oci://host[:port]/repository:tag`, with `@sha256:…` after the tag or instead of it (distribution spec 1.1, "Pulling
/// manifests").
struct RegistryReference: Equatable, Sendable {
    /// Registries limit host and repository together to 255 characters.
    private static let nameBytesMax = 255
    private static let tagBytesMax = 128

    /// Host and port as written, in lower case. Credentials are looked up by it.
    let host: String
    let repository: String
    /// Nil if there is only a digest.
    let tag: String?
    /// `sha256:` and 64 digits; takes precedence over the tag.
    let digest: String?

    /// The reference as a user writes it; contains no secret.
    var name: String {
        "oci://\(host)/\(repository)" + (tag.map { ":" + $0 } ?? "") + (digest.map { "@" + $0 } ?? "")
    }

    /// The digest or tag by which the manifest is requested.
    var manifest: String { digest ?? tag ?? "" }

    /// Throws `.invalidReference` for anything else. The message repeats no secret.
    init(_ text: String) throws(SourceError) {
        func refusal(_ reason: String, named name: String? = nil) -> SourceError {
            SourceError(
                .invalidReference, source: withoutSecrets(name ?? text),
                reason: reason + "; the form is oci://host[:port]/repository:tag or oci://host[:port]/repository@sha256:…")
        }
        var rest = text.dropFirst("oci://".count)
        guard let slash = rest.firstIndex(of: "/") else { throw refusal("has no repository") }
        let host = rest[..<slash]
        rest = rest[rest.index(after: slash)...]
        if host.contains("@") { throw refusal("holds a user or a password, which have no place there") }
        guard !host.isEmpty, host.last != ":",
            host.utf8.allSatisfy({ isAlphanumeric($0, anyCase: true) || ".-:[]".utf8.contains($0) }),
            let address = HTTPAddress("https://\(host)/"), address.user == nil
        else { throw refusal("has no valid host") }
        self.host = host.lowercased()

        if let at = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            guard isSHA256(digest) else {
                // The text after the @ may also be a host, and the text before it a secret.
                let isOne = !digest.contains("/") && ["sha256:", "sha512:"].contains { digest.hasPrefix($0) }
                throw refusal(
                    "its digest is not sha256: and 64 hexadecimal digits in lower case",
                    named: isOne ? "oci://\(host)/\(rest[..<at])" : nil)
            }
            self.digest = digest
            rest = rest[..<at]
        } else {
            digest = nil
        }
        if let colon = rest.firstIndex(of: ":") {
            let tag = rest[rest.index(after: colon)...]
            guard (1...Self.tagBytesMax).contains(tag.utf8.count), tag.first != ".", tag.first != "-",
                tag.utf8.allSatisfy({ isAlphanumeric($0, anyCase: true) || ".-_".utf8.contains($0) })
            else { throw refusal("its tag is not of letters, digits and . - _") }
            self.tag = String(tag)
            rest = rest[..<colon]
        } else {
            tag = nil
        }
        guard tag != nil || digest != nil else { throw refusal("names neither a tag nor a digest") }
        guard host.utf8.count + rest.utf8.count < Self.nameBytesMax,
            rest.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(isComponent)
        else { throw refusal("its repository is not of small letters, digits and single . _ - between them") }
        repository = String(rest)
    }

    /// The URL of a part of the repository, such as `manifests/1.0`.
    func url(_ part: String, isPlain: Bool) -> String {
        // Docker's own registry serves its API on another host.
        let server = host == "docker.io" ? "registry-1.docker.io" : host
        return "\(isPlain ? "http" : "https")://\(server)/v2/\(repository)/\(part)"
    }
}

/// Whether `text` is `sha256:` and 64 hexadecimal digits in lower case (image spec, "Digests").
func isSHA256(_ text: String) -> Bool {
    text.hasPrefix("sha256:") && text.utf8.count == 71
        && text.utf8.dropFirst(7).allSatisfy { hexDigit($0) != nil && !(0x41...0x5a).contains($0) }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
private func isComponent(_ text: Substring) -> Bool {
    let isSeparator: (Character) -> Bool = { $0 == "." || $0 == "_" || $0 == "-" }
    let letters = text.split(whereSeparator: isSeparator)
    let between = text.split(omittingEmptySubsequences: true, whereSeparator: { !isSeparator($0) })
    return letters.allSatisfy { $0.utf8.allSatisfy { isAlphanumeric($0, anyCase: false) } }
        && between.count == letters.count - 1 && text.first.map(isSeparator) == false
        && between.allSatisfy { $0 == "." || $0 == "_" || $0 == "__" || $0.allSatisfy { $0 == "-" } }
}

/// Whether it is an ASCII digit or lower-case letter, or with `anyCase` any ASCII letter.
private func isAlphanumeric(_ byte: UInt8, anyCase: Bool) -> Bool {
    (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || anyCase && (0x41...0x5a).contains(byte)
}
