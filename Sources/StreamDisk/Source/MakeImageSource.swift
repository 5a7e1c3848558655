/// Where an image comes from. ``makeImageSource(_:options:)`` makes one for a single call of `streamImage`, `streamRegions`,
/// `verifyImage` or `inspectImage`, which closes it.
public struct ImageSource: Sendable {
    package let bytes: any ByteSource

    package init(bytes: any ByteSource) { self.bytes = bytes }

    /// Ends its background work. Needed only if it is passed to no call.
    public func close() { bytes.close() }
}

/// The source that `reference` names: `https://…`, `http://…`, `oci://…`, `file://…` or a path.
///
/// Accesses neither the network nor the disk. Throws `.invalidReference` for anything else.
public func makeImageSource(_ reference: String, options: SourceOptions = SourceOptions()) throws(SourceError) -> ImageSource {
    ImageSource(bytes: try makeByteSource(reference, options: options))
}

/// The bytes that `reference` names, as for `makeImageSource`.
package func makeByteSource(
    _ reference: String, options: SourceOptions = SourceOptions()
) throws(SourceError) -> any ByteSource {
    guard let scheme = scheme(of: reference) else { return try FileSource(path: reference) }
    switch scheme {
    case "http", "https": return try HTTPSource(url: reference, options: options)
    case "file": return try FileSource(url: reference)
    case "oci": return try RegistrySource(reference, options: options)
    default:
        throw SourceError(
            .invalidReference, source: withoutSecrets(reference),
            reason: "\(scheme):// is not supported; give an https://, http://, oci:// or file:// URL, or a path")
    }
}

/// The lowercase scheme if `reference` begins with `scheme://` (RFC 3986 §3.1), else nil.
private func scheme(of reference: String) -> String? {
    guard let colon = reference.utf8.firstIndex(of: UInt8(ascii: ":")), reference[colon...].hasPrefix("://")
    else { return nil }
    let scheme = reference[..<colon]
    guard let first = scheme.utf8.first, isLetter(first),
        scheme.utf8.allSatisfy({ isLetter($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0) })
    else { return nil }
    return scheme.lowercased()
}

private func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }

/// The name of the source for `reference`. For an invalid reference, the part of it that cannot contain a secret.
package func imageName(_ reference: String) -> String {
    (try? makeByteSource(reference))?.name ?? withoutSecrets(reference)
}

/// Shortens a reference that could not be parsed to what cannot contain a secret: drops everything up to the last `@`, and the
/// query.
///
/// The order matters: a password may contain the character that begins a query, which is why such a URL cannot be parsed.
func withoutSecrets(_ reference: String) -> String {
    let scheme = scheme(of: reference).map { $0 + "://" } ?? ""
    var rest = reference.dropFirst(scheme.count)
    if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
    return scheme + rest.prefix { $0 != "?" && $0 != "#" }
}
