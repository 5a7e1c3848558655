/// The value of an `Authorization` header field (RFC 9110 §11.6.2).
enum HTTPAuthorization: Equatable, Sendable {
    /// RFC 7617.
    case basic(user: String, password: String)
    /// RFC 6750: a token of visible ASCII characters.
    case bearer(String)
}

/// Gets the authorization that a server requires. It is sent to the origin of its endpoint only, never to the target of a
/// redirect.
protocol HTTPAuthorizer: AnyObject, Sendable {
    /// The authorization that requests carry now.
    var authorization: HTTPAuthorization? { get }

    /// Gets another authorization after the server refused `refused` (401) with these challenges (RFC 9110 §11.6.1). Blocks until
    /// then. Throws if none can be got.
    ///
    /// - Returns: whether this call got it. False if another thread did, or if the run was cancelled.
    func renew(_ refused: HTTPAuthorization?, challenges: String, observer: SourceObserver) throws(SourceError) -> Bool

    /// Text to add to the message of a refusal, such as which files were searched for credentials. May be empty.
    var explanation: String { get }
}
