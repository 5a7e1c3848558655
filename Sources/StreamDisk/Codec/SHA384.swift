/// SHA-384 over bytes that arrive in pieces.
package struct SHA384: ~Copyable {
    static let digestBytes = MessageDigest.Algorithm.sha384.digestBytes

    private var digest = MessageDigest(.sha384)

    package init() {}

    package mutating func update(_ bytes: RawSpan) { digest.update(bytes) }

    /// The 48 bytes of the digest; and a fresh start for the next message.
    package mutating func finish() -> [UInt8] { digest.finish() }

    /// The digest of a whole message.
    static func digest(of bytes: [UInt8]) -> [UInt8] { MessageDigest.digest(of: bytes, .sha384) }
}
