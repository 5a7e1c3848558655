/// What one image is asked from: the address the user gave, how to ask, and where its redirects led.
final class HTTPEndpoint: Sendable {
    let address: HTTPAddress
    let options: SourceOptions
    private let remembered = Monitor<HTTPAddress?>(nil)

    init(url: String, options: SourceOptions) throws(SourceError) {
        guard let address = HTTPAddress(url) else {
            throw SourceError(.invalidReference, source: withoutSecrets(url), reason: "is not a valid http or https URL")
        }
        self.address = address
        self.options = options
        for header in options.headers { try check(header) }
    }

    var name: String { address.name }

    /// Where the last good answer came from; nil when that was the address itself.
    var shortcut: HTTPAddress? { remembered.withLock { $0 } }

    /// Remembers where a good answer came from, for the next requests.
    func remember(_ place: HTTPAddress) {
        remembered.withLock { $0 = place == address ? nil : place }
    }

    /// Credentials, client certificate and the user's headers go to the origin the user named, and nowhere else.
    func request(to place: HTTPAddress, range: Range<UInt64>?, ifRange: String?) -> HTTPRequest {
        var request = HTTPRequest(url: place.url, connectTimeoutSeconds: min(options.stallTimeoutSeconds, 30))
        request.caFile = options.caFile
        if let range { request.range = "\(range.lowerBound)-\(range.upperBound - 1)" }
        if let ifRange { request.headers.append("If-Range: " + ifRange) }
        if place.origin == address.origin {
            request.headers += options.headers
            request.user = address.user
            request.password = address.password
            request.clientCertificateFile = options.clientCertificateFile
            request.clientKeyFile = options.clientKeyFile
        }
        return request
    }

    func error(_ kind: SourceError.Kind, _ reason: String, at offset: UInt64? = nil) -> SourceError {
        SourceError(kind, source: name, reason: reason, offset: offset)
    }

    /// A header line the user gave: well formed, and none that would change what the answer means.
    private func check(_ header: String) throws(SourceError) {
        let name = header.prefix { $0 != ":" }
        let isToken =
            !name.isEmpty
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0) }
        let hasControl = header.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }
        guard isToken, name.utf8.count < header.utf8.count, !hasControl else {
            // Without the value, which may be a secret.
            throw error(.invalidReference, "a request header must read 'Name: value'")
        }
        let ours = ["range", "if-range", "accept-encoding", "te", "transfer-encoding", "content-length", "connection"]
        if ours.contains(name.lowercased()) {
            throw error(.invalidReference, "the request header \(name) cannot be set: this program sets it")
        }
    }
}
