import Glibc
import Synchronization

/// The address and options by which an image, or a document of its registry, is requested, and where redirects led.
final class HTTPEndpoint: Sendable {
    let address: HTTPAddress
    let options: SourceOptions
    /// The name in messages, without credentials.
    let name: String
    let authorizer: (any HTTPAuthorizer)?
    /// Summed over all fetches; see `ByteSource.earlyBytes`.
    let earlyBytes = Atomic<UInt64>(0)
    private let remembered = Monitor<HTTPAddress?>(nil)

    /// More redirects than this are a loop (RFC 9110 §15.4 leaves the number to the client).
    private static let redirectsMax = 10

    /// - Parameter name: nil for the URL itself, without parts that may be secret.
    init(
        url: String, options: SourceOptions, name: String? = nil, authorizer: (any HTTPAuthorizer)? = nil
    ) throws(SourceError) {
        guard let address = HTTPAddress(url) else {
            throw SourceError(
                .invalidReference, source: withoutSecrets(url), reason: "is not a valid http or https URL")
        }
        self.address = address
        self.options = options
        self.name = name ?? address.name
        self.authorizer = authorizer
        for header in options.headers {
            guard let refusal = SourceOptions.refusal(ofHeader: header) else { continue }
            throw error(.invalidReference, "a request header " + refusal)
        }
    }

    /// The address of the last accepted response; nil if it is the original address.
    var shortcut: HTTPAddress? { remembered.withLock { $0 } }

    /// Remembers the address of an accepted response for the next requests.
    func remember(_ place: HTTPAddress) {
        remembered.withLock { $0 = place == address ? nil : place }
    }

    /// Credentials, the client certificate and the user's headers go only to the origin that the user named.
    func request(to place: HTTPAddress, range: Range<UInt64>?, ifRange: String?) -> HTTPRequest {
        var request = HTTPRequest(url: place.url, connectTimeoutSeconds: min(options.stallTimeoutSeconds, 30))
        request.caFile = options.caFile
        if let range { request.range = "\(range.lowerBound)-\(range.upperBound - 1)" }
        if let ifRange { request.headers.append("If-Range: " + ifRange) }
        if place.origin == address.origin {
            request.headers += options.headers
            request.authorization = authorizer?.authorization
            request.user = address.user
            request.password = address.password
            request.clientCertificateFile = options.clientCertificateFile
            request.clientKeyFile = options.clientKeyFile
        }
        return request
    }

    /// The address to follow a redirect to: the `count`th in a row, from `place`. Throws if it must not be followed.
    func redirect(to target: String?, from place: HTTPAddress, count: Int, at offset: UInt64) throws(SourceError) -> HTTPAddress {
        guard let target, let next = HTTPAddress(target, isRedirect: true) else {
            throw error(.unreachable, "redirects to what is no http or https URL", at: offset)
        }
        if place.isSecure, !next.isSecure {
            throw error(.unreachable, "redirects from https to http (\(next.name)), which is not followed", at: offset)
        }
        guard count <= Self.redirectsMax else {
            throw error(.unreachable, "redirects more than \(Self.redirectsMax) times", at: offset)
        }
        return next
    }

    /// Names a place for a message, if it is not the one that the user gave.
    func elsewhere(_ place: HTTPAddress?) -> String {
        guard let place, place != address else { return "" }
        return " (at \(place.name))"
    }

    /// The error for a response from `place`. Leaves out advice on credentials if `place` gets none from the user.
    func refusal(
        _ kind: SourceError.Kind, _ reason: String, of place: HTTPAddress, at offset: UInt64? = nil,
        advice: SourceError.Advice? = nil
    ) -> SourceError {
        let isOurs = kind != .notPermitted || place.origin == address.origin
        return error(kind, reason + elsewhere(place), at: offset, advice: isOurs ? advice : nil)
    }

    func error(
        _ kind: SourceError.Kind, _ reason: String, at offset: UInt64? = nil, advice: SourceError.Advice? = nil
    ) -> SourceError {
        if case .check(let file) = advice {
            guard let path = path(of: file) else {
                return SourceError(
                    .unreachable, source: name, reason: "this host's own list of authorities \(reason)",
                    advice: .trustAuthority)
            }
            return SourceError(kind, source: path, reason: reason, advice: advice)
        }
        if kind == .notPermitted, advice == .giveCredentials, let authorizer {
            return SourceError(kind, source: name, reason: reason + authorizer.explanation, offset: offset, advice: .logIn)
        }
        return SourceError(kind, source: name, reason: reason, offset: offset, advice: advice)
    }

    /// Checks that the option files exist and are readable. TLS checks their contents.
    func checkFiles() throws(SourceError) {
        for file in SourceError.OptionFile.allCases {
            guard let path = path(of: file) else { continue }
            var status = stat()
            guard unsafe access(path, R_OK) == 0, unsafe stat(path, &status) == 0 else {
                let cause = SystemError.current
                let isRefused = cause.code == EACCES || cause.code == EPERM
                throw error(isRefused ? .notPermitted : .unusableFile, "\(cause)", advice: .check(file))
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                throw error(.unusableFile, "is a directory, not a PEM file", advice: .check(file))
            }
        }
    }

    private func path(of file: SourceError.OptionFile) -> String? {
        switch file {
        case .authorities: options.caFile
        case .clientCertificate: options.clientCertificateFile
        // The key may be in the same file as its certificate.
        case .clientKey: options.clientKeyFile ?? options.clientCertificateFile
        case .registryCredentials: nil
        }
    }
}
