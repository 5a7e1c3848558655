/// How an image is fetched. Times in seconds.
public struct SourceOptions: Sendable {
    /// How long one spot may fail to advance before giving up.
    public var retryTimeoutSeconds: Double = 300
    /// No byte for so long is a fault, and retried.
    public var stallTimeoutSeconds: Double = 30
    /// More connections than this are not opened for one image.
    public static let connectionsMax = 64

    /// Range requests under way at once for one image, 1 to `connectionsMax`.
    public var connections: Int = 1
    /// A PEM file of certificate authorities to trust instead of the system's.
    public var caFile: String?
    /// A client certificate and its key (PEM files).
    public var clientCertificateFile: String?
    public var clientKeyFile: String?
    /// Extra request headers, `Name: value`. Sent to the first origin only, never to one it redirects to.
    public var headers: [String] = []

    public init() {}
}
