import CCrypto

/// SHA-384 over bytes that arrive in pieces (FIPS 180-4; OpenSSL's EVP_DigestInit_ex(3)).
@safe
package struct SHA384: ~Copyable {
    static let digestBytes = 48

    // SAFETY: made in `init`, freed in `deinit`, never shared.
    private let context: OpaquePointer

    package init() {
        // EVP_MD_CTX_new fails only without memory, and an unknown digest would be a broken libcrypto.
        guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, EVP_sha384(), nil) == 1 else {
            preconditionFailure("libcrypto has no SHA-384")
        }
        unsafe self.context = context
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: RawSpan) {
        let code = unsafe bytes.withUnsafeBytes { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
        precondition(code == 1, "EVP_DigestUpdate")
    }

    /// The 48 bytes of the digest; and a fresh start for the next message.
    package mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Self.digestBytes)
        let code = unsafe digest.withUnsafeMutableBufferPointer { area in
            unsafe EVP_DigestFinal_ex(context, area.baseAddress, nil)
        }
        precondition(code == 1, "EVP_DigestFinal_ex")
        precondition(unsafe EVP_DigestInit_ex(context, EVP_sha384(), nil) == 1, "EVP_DigestInit_ex")
        return digest
    }

    /// The digest of a whole message.
    static func digest(of bytes: [UInt8]) -> [UInt8] {
        var hash = SHA384()
        hash.update(unsafe bytes.span.bytes)
        return hash.finish()
    }
}
