/// Options for fetching an image. Times are in seconds.
public struct SourceOptions: Sendable {
    /// How long a position of the image may fail to advance before the source gives up.
    public var retryTimeoutSeconds: Double = 300
    /// A request without data for this long is a fault, and is retried.
    public var stallTimeoutSeconds: Double = 30
    /// The maximum of `connections`.
    public static let connectionsMax = 64

    /// Concurrent range requests for one image, 1 to `connectionsMax`.
    public var connections: Int = 1
    /// A PEM file of certificate authorities to trust instead of the system's.
    public var caFile: String?
    /// A client certificate (a PEM file).
    public var clientCertificateFile: String?
    /// The key of the client certificate (a PEM file); nil: it is in the certificate's file.
    public var clientKeyFile: String?
    /// Reach a registry (`oci://`) over http, without TLS.
    public var usesPlainHTTP = false
    /// Extra request headers, `Name: value`. Sent to the first origin only, never to one it redirects to.
    public var headers: [String] = []

    /// The defaults.
    public init() {}

    /// The reason why `header` is not allowed in `headers`, without its value; nil if it is allowed.
    ///
    /// It must be a field line (RFC 9110 §5), and must not be one that changes the meaning of the response.
    public static func refusal(ofHeader header: String) -> String? {
        let name = header.prefix { $0 != ":" }
        let isToken =
            !name.isEmpty
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0) }
        let hasControl = header.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }
        guard isToken, name.utf8.count < header.utf8.count, !hasControl else {
            return "is not of the form 'Name: value' (not shown here, it may hold a secret)"
        }
        let ours = ["range", "if-range", "accept-encoding", "te", "transfer-encoding", "content-length", "connection"]
        return ours.contains(name.lowercased()) ? "sets \(name), which this program sets itself" : nil
    }
}
