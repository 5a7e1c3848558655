import CCrypto

/// A digest of SHA-2 over bytes that arrive in pieces (FIPS 180-4; OpenSSL's EVP_DigestInit_ex(3)).
@safe
package struct MessageDigest: ~Copyable {
    package enum Algorithm {
        case sha256, sha384

        var digestBytes: Int { self == .sha256 ? 32 : 48 }
        fileprivate var name: OpaquePointer? { unsafe self == .sha256 ? EVP_sha256() : EVP_sha384() }
    }

    // SAFETY: made in `init`, freed in `deinit`, never shared.
    private let context: OpaquePointer
    private let algorithm: Algorithm

    package init(_ algorithm: Algorithm) {
        // EVP_MD_CTX_new fails only without memory, and an unknown digest would be a broken libcrypto.
        guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, algorithm.name, nil) == 1 else {
            preconditionFailure("libcrypto has no \(algorithm)")
        }
        unsafe self.context = context
        self.algorithm = algorithm
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: RawSpan) {
        let code = unsafe bytes.withUnsafeBytes { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
        precondition(code == 1, "EVP_DigestUpdate")
    }

    /// The bytes of the digest; and a fresh start for the next message.
    package mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: algorithm.digestBytes)
        let code = unsafe digest.withUnsafeMutableBufferPointer { area in
            unsafe EVP_DigestFinal_ex(context, area.baseAddress, nil)
        }
        precondition(code == 1, "EVP_DigestFinal_ex")
        precondition(unsafe EVP_DigestInit_ex(context, algorithm.name, nil) == 1, "EVP_DigestInit_ex")
        return digest
    }

    /// The digest of a whole message.
    package static func digest(of bytes: [UInt8], _ algorithm: Algorithm) -> [UInt8] {
        var digest = MessageDigest(algorithm)
        // SAFETY: a UInt8 has no padding.
        digest.update(unsafe bytes.span.bytes)
        return digest.finish()
    }
}
