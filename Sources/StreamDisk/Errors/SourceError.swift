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
        /// What a registry names by its digest are other bytes, or it names them by another one.
        case digest
        /// What the registry has there is no image with one layer.
        case manifest
        /// The reference itself makes no sense (scheme, URL).
        case invalidReference
        /// A file that `SourceOptions` or the environment names is missing, or not what it should be. Then `source` is its path.
        case unusableFile
        /// The run was cancelled, or the sink refused more bytes.
        case stopped
    }

    /// What a user can do, if more is known than `kind` says.
    public enum Advice: Sendable, Equatable {
        /// Name the authority that signed the server's certificate (`SourceOptions.caFile`).
        case trustAuthority
        /// By this host's clock, a certificate is not yet valid or has expired.
        case checkClock
        /// The certificate is for a name other than the URL's.
        case useCertifiedName
        /// The server requires a client certificate, or another one (`SourceOptions.clientCertificateFile` and
        /// `clientKeyFile`).
        case giveClientCertificate
        /// The server wants to know who asks, such as by a token (`SourceOptions.headers`).
        case giveCredentials
        /// The server has too much to do, or is out of order.
        case tryLater
        /// Both speak TLS, and agree on no version or cipher, or the server wants a client certificate: it does not say.
        case agreeOnTLS
        /// The server does not speak TLS: use an http URL, or another port.
        case usePlainHTTP
        /// The server speaks TLS: use an https URL.
        case useTLS
        /// Give credentials for the registry, or others.
        case logIn
        /// Look at a file of the options. `source` is its path.
        case check(OptionFile)
    }

    /// The files that `SourceOptions` names, and the one that registries' credentials are in.
    public enum OptionFile: Sendable, CaseIterable {
        case authorities, clientCertificate, clientKey, registryCredentials
    }

    /// The reason, for programs.
    public let kind: Kind
    /// The source's name, without credentials.
    public let source: String
    /// What happened, in words.
    public let reason: String
    /// Byte position in the image, if known.
    public let offset: UInt64?
    /// What to do; nil if no more is known than `kind` says.
    public let advice: Advice?
    /// Whether the source, whose size was unknown, ended at `offset`, before the requested range.
    public let isEnd: Bool

    /// For custom sources.
    public init(
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
