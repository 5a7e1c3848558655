import CosiFormat

/// The size and hash of a whole image, if a registry's manifest states them.
struct ExpectedWhole: Sendable {
    let sizeBytes: UInt64
    /// 32 bytes.
    let sha256: [UInt8]

    func check(sizeBytes actual: UInt64, of endpoint: HTTPEndpoint) throws(SourceError) {
        guard actual == sizeBytes else {
            throw endpoint.error(.digest, "it has \(actual) bytes, its manifest says \(sizeBytes)")
        }
    }

    func check(sha256 actual: [UInt8], of endpoint: HTTPEndpoint) throws(SourceError) {
        guard actual == sha256 else {
            throw endpoint.error(
                .digest, "its bytes have the SHA-256 \(actual.hexadecimal), its manifest says \(sha256.hexadecimal)")
        }
    }

    static func tooLong(_ endpoint: HTTPEndpoint) -> SourceError {
        endpoint.error(.digest, "more bytes come than its manifest says")
    }
}
