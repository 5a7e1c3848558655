/// The source could not deliver the image. Final, after all retries.
public struct SourceError: Error, Sendable, Equatable {
    /// The reason, for programs. The `kind` of an `error` event is `source.` followed by this.
    public enum Kind: String, Sendable {
        /// HTTP 404, or no such file.
        case notFound
        /// It could not be reached, or was lost, until the retry timeout; or a response that no retry can change.
        case unreachable
        /// HTTP 401, 403 or 407, or a file that may not be read.
        case notPermitted
        /// The server cannot serve the image: it refuses ranges, and a single pass is not possible.
        case unsupported
        /// The source changed since the run began, or is shorter than it stated.
        case changed
        /// The bytes that a registry sent do not have the digest or size that was requested or stated.
        case digest
        /// The registry's manifest is not that of an image with one layer.
        case manifest
        /// The reference itself is invalid (scheme, URL).
        case invalidReference
        /// A file that `SourceOptions` or the environment names is missing or invalid. Then `source` is its path.
        case unusableFile
        /// The run was cancelled, or the sink refused more bytes.
        case stopped
    }

    /// What a user can do, if more is known than `kind` says.
    package enum Advice: Sendable, Equatable {
        /// Name the authority that signed the server's certificate (`SourceOptions.caFile`).
        case trustAuthority
        /// By this host's clock, a certificate is not yet valid or has expired.
        case checkClock
        /// The certificate is for a name other than the URL's.
        case useCertifiedName
        /// The server requires a client certificate, or another one (`SourceOptions.clientCertificateFile` and
        /// `clientKeyFile`).
        case giveClientCertificate
        /// The server requires authorization, such as a token (`SourceOptions.headers`).
        case giveCredentials
        /// The server is overloaded, or has an internal error.
        case tryLater
        /// The TLS handshake failed: no common version or cipher, or the server requires a client certificate. It does not say
        /// which.
        case agreeOnTLS
        /// The server does not speak TLS: use an http URL, or another port.
        case usePlainHTTP
        /// The server speaks TLS: use an https URL.
        case useTLS
        /// Give credentials for the registry, or other ones.
        case logIn
        /// Check a file that the options name. `source` is its path.
        case check(OptionFile)
    }

    /// The files that `SourceOptions` names, and the file with the credentials of registries.
    package enum OptionFile: Sendable, CaseIterable {
        case authorities, clientCertificate, clientKey, registryCredentials
    }

    /// The reason, for programs.
    public let kind: Kind
    /// The source's name, without credentials.
    public let source: String
    /// What happened, in words.
    public let reason: String
    /// Byte position in the image, if known.
    package let offset: UInt64?
    /// What to do; nil if no more is known than `kind` says.
    package let advice: Advice?
    /// Whether the source, whose size was unknown, ended at `offset`, before the requested range.
    package let isEnd: Bool

    /// For a front-end that refuses a reference itself.
    public init(_ kind: Kind, source: String, reason: String) {
        self.init(kind, source: source, reason: reason, offset: nil)
    }

    /// See the properties.
    package init(
        _ kind: Kind, source: String, reason: String, offset: UInt64? = nil, advice: Advice? = nil, isEnd: Bool = false
    ) {
        self.advice = advice
        self.kind = kind
        self.source = source
        self.reason = reason
        self.offset = offset
        self.isEnd = isEnd
    }
}
