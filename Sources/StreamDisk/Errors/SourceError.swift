/// Why a source could not deliver: final, after all retries.
public struct SourceError: Error, Sendable, Equatable {
    /// Why, for programs: `source.` and this is the `kind` of an `error` event.
    public enum Kind: String, Sendable {
        /// 404, no such file.
        case notFound
        /// Not reached, or went away, until the retry timeout; or an answer that no retry mends.
        case unreachable
        /// 401, 403, 407, a file that may not be read.
        case notPermitted
        /// The server cannot serve this: ranges refused and no way round.
        case unsupported
        /// The source is not what it was when the run began, or shorter than it said.
        case changed
        /// What a registry names by its digest are other bytes, or it names them by another one.
        case digest
        /// What the registry has there is no image with one layer.
        case manifest
        /// The reference itself makes no sense (scheme, URL).
        case invalidReference
        /// A file that `SourceOptions` or the environment names is missing, or not what it should be. Then `source` is its path.
        case unusableFile
        /// The run was cancelled, or the sink wants no more.
        case stopped
    }

    /// What a person can do about it, where more is known than `kind` says.
    public enum Advice: Sendable, Equatable {
        /// Name an authority that the server's certificate is signed by (`SourceOptions.caFile`).
        case trustAuthority
        /// A certificate is not valid yet, or no longer, by this host's clock.
        case checkClock
        /// The certificate is for another name than the URL's.
        case useCertifiedName
        /// The server wants one, or another one (`SourceOptions.clientCertificateFile` and `clientKeyFile`).
        case giveClientCertificate
        /// Both speak TLS, and agree on no version or cipher, or the server wants a client certificate: it does not say.
        case agreeOnTLS
        /// Nothing speaks TLS there: an http URL, or another port.
        case usePlainHTTP
        /// What is there speaks TLS: an https URL.
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

    /// Why, for programs.
    public let kind: Kind
    /// The source's name, without credentials.
    public let source: String
    /// What happened, in words.
    public let reason: String
    /// Position of the image, where one is known.
    public let offset: UInt64?
    /// What to do; nil where no more is known than `kind` says.
    public let advice: Advice?
    /// The source's size was not known, and it has ended at `offset`, before what was asked for.
    public let isEnd: Bool

    /// For sources of your own.
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
