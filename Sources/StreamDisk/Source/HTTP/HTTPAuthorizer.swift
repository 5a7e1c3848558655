/// What a request says of who asks (RFC 9110 §11.6.2).
enum HTTPAuthorization: Equatable, Sendable {
    /// RFC 7617.
    case basic(user: String, password: String)
    /// RFC 6750: visible ASCII.
    case bearer(String)
}

/// Gets what a server wants to see of who asks. It is sent to the origin of its endpoint, and never to one that redirects lead to.
protocol HTTPAuthorizer: AnyObject, Sendable {
    /// What requests carry now.
    var authorization: HTTPAuthorization? { get }

    /// Gets another authorization after the server refused `refused` (401) with these challenges (RFC 9110 §11.6.1). Blocks
    /// meanwhile. Throws if there is none to be had.
    ///
    /// - Returns: whether this call got it. False if another thread did, or if the run is cancelled.
    func renew(_ refused: HTTPAuthorization?, challenges: String, observer: SourceObserver) throws(SourceError) -> Bool

    /// What to add to the words for a refusal, such as where credentials were looked for; empty without.
    var explanation: String { get }
}
