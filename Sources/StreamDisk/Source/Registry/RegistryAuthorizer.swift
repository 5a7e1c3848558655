import CosiFormat

/// Authorizes requests to a registry: with a user and a password (Basic), or with a token for one repository, which comes from
/// the server that the registry names (Bearer; distribution's "Token Authentication Specification").
///
/// Sends nothing until the registry challenges. A token goes to the registry's origin only. A user and a password go there, and
/// to a token server that `mayHaveCredentials` allows.
final class RegistryAuthorizer: HTTPAuthorizer {
    private struct State {
        /// Whether a thread is getting an authorization. The others wait for its result.
        var isAsking = false
        var authorization: HTTPAuthorization?
        var search: RegistryCredentials.Search?
    }

    private struct TokenAnswer: Decodable {
        let token: String?
        // swift-format-ignore: AlwaysUseLowerCamelCase
        let access_token: String?
    }

    /// Limits of the token server's answer, and of the token in it: few servers accept a longer header.
    private static let answerBytesMax = 1 << 20
    private static let tokenBytesMax = 64 << 10

    private let reference: RegistryReference
    private let options: SourceOptions
    private let state = Monitor(State())

    init(_ reference: RegistryReference, options: SourceOptions) {
        (self.reference, self.options) = (reference, options)
    }

    var authorization: HTTPAuthorization? { state.withLock { $0.authorization } }

    var explanation: String {
        let text = state.withLock { $0.search?.explanation } ?? ""
        return text.isEmpty ? "" : "; " + text
    }

    func renew(_ refused: HTTPAuthorization?, challenges: String, observer: SourceObserver) throws(SourceError) -> Bool {
        let state = state
        let isMine = observer.cancellation.withHandler({ state.mutateAndNotify { _ in } }) {
            state.wait { state -> Bool? in
                // Another thread has got one meanwhile.
                if state.authorization != refused || observer.cancellation.isCancelled { return false }
                if state.isAsking { return nil }
                state.isAsking = true
                return true
            }
        }
        guard isMine else { return false }
        defer { state.mutateAndNotify { $0.isAsking = false } }
        let next = try ask(refused, challenges, observer)
        state.withLock { $0.authorization = next }
        return true
    }

    private func ask(
        _ refused: HTTPAuthorization?, _ challenges: String, _ observer: SourceObserver
    ) throws(SourceError) -> HTTPAuthorization {
        let all = AuthenticationChallenge.parse(challenges)
        let credentials = try credentials()
        let next: HTTPAuthorization
        if let bearer = all.first(where: { $0.scheme == "bearer" && $0.parameters["realm"] != nil }) {
            next = .bearer(try token(bearer, credentials, observer))
        } else if all.contains(where: { $0.scheme == "basic" }) {
            guard let credentials else { throw denied("the registry wants a user and a password") }
            next = .basic(user: credentials.user, password: credentials.password)
            if next == refused { throw denied("the registry refused the user and the password") }
        } else {
            let names = all.prefix(5).map { printable($0.scheme, scalarsMax: 20) }.joined(separator: ", ")
            throw unusable("the registry wants to be shown who asks in a way that is not known here (\(names))")
        }
        return next
    }

    private func credentials() throws(SourceError) -> RegistryCredentials? {
        if let search = state.withLock({ $0.search }) { return search.credentials }
        let search = try RegistryCredentials.search(for: reference, in: .ofEnvironment)
        state.withLock { $0.search = search }
        return search.credentials
    }

    /// A refusal that other credentials would not change.
    private func unusable(_ reason: String) -> SourceError { SourceError(.notPermitted, source: reference.name, reason: reason) }

    private func denied(_ reason: String) -> SourceError {
        SourceError(.notPermitted, source: reference.name, reason: reason + explanation, advice: .logIn)
    }

    private func token(
        _ challenge: AuthenticationChallenge, _ credentials: RegistryCredentials?, _ observer: SourceObserver
    ) throws(SourceError) -> String {
        let registry = HTTPAddress(reference.url("", isPlain: options.usesPlainHTTP))
        guard let registry, let realm = HTTPAddress(challenge.parameters["realm"] ?? ""), realm.user == nil, realm.password == nil
        else { throw unusable("the registry names a token server by what is no http or https URL, or with a user in it") }
        if registry.isSecure, !realm.isSecure {
            throw unusable("the registry wants a token to be asked for over http (\(realm.name)), which is not done")
        }
        if credentials != nil, !Self.mayHaveCredentials(realm, of: registry) {
            throw unusable(
                "the registry, which is asked over http, names another host for its tokens (\(realm.name)): credentials are not sent "
                    + "there, since anyone on the way can name one")
        }
        // Requests read access to this repository only, whatever scope the challenge names.
        var query = "scope=" + percentEncoded("repository:\(reference.repository):pull")
        if let service = challenge.parameters["service"] { query += "&service=" + percentEncoded(service) }
        let endpoint = try HTTPEndpoint(
            url: realm.url + (realm.url.contains("?") ? "&" : "?") + query, options: tokenOptions(realm, registry),
            authorizer: credentials.map { FixedAuthorization($0, at: realm) })
        let answer: HTTPDocument.Answer
        do throws(SourceError) {
            answer = try HTTPDocument.get(
                endpoint, accept: ["application/json"], bytesMax: Self.answerBytesMax,
                observer: SourceObserver(cancellation: observer.cancellation) { note in
                    observer.report(note.saying("its token server \(endpoint.name): \(note.reason)"))
                })
        } catch {
            if error.kind == .stopped { throw error }
            let isRefused = error.advice == .giveCredentials || error.advice == .logIn
            throw SourceError(
                error.kind == .notFound ? .unreachable : error.kind, source: reference.name,
                reason: "its token server \(error.source): \(error.reason)" + (isRefused ? explanation : ""),
                advice: isRefused ? .logIn : error.advice)
        }
        guard let token = Self.token(in: answer.bytes) else {
            throw SourceError(
                .unreachable, source: reference.name, reason: "its token server \(endpoint.name) answers with no usable token")
        }
        return token
    }

    /// Whether credentials may be sent to a token server. A registry with TLS may name any host that has TLS. Without TLS, the
    /// answer may come from anyone on the network's path, so only the registry's own host is allowed.
    static func mayHaveCredentials(_ realm: HTTPAddress, of registry: HTTPAddress) -> Bool {
        registry.isSecure ? realm.isSecure : realm.host == registry.host
    }

    /// The options for the token server: without the user's headers, which are for the registry, and without the client
    /// certificate, unless the token server has the registry's origin.
    private func tokenOptions(_ realm: HTTPAddress, _ registry: HTTPAddress) -> SourceOptions {
        var options = options
        options.headers = []
        if realm.origin != registry.origin { (options.clientCertificateFile, options.clientKeyFile) = (nil, nil) }
        return options
    }

    /// The token in an answer; nil if there is none, or if it is too long or not visible ASCII.
    private static func token(in bytes: [UInt8]) -> String? {
        let answer: TokenAnswer
        do throws(FormatError) {
            answer = try JSONDocument(bytes, name: "token", bytesMax: answerBytesMax).decode(TokenAnswer.self)
        } catch {
            return nil
        }
        guard let token = answer.token ?? answer.access_token, (1...tokenBytesMax).contains(token.utf8.count),
            token.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        return token
    }
}

/// A user and a password for a token server. If it refuses them, there are no others to try.
private final class FixedAuthorization: HTTPAuthorizer {
    let authorization: HTTPAuthorization?
    let explanation = ""
    private let place: HTTPAddress

    init(_ credentials: RegistryCredentials, at place: HTTPAddress) {
        self.place = place
        authorization = .basic(user: credentials.user, password: credentials.password)
    }

    func renew(_ refused: HTTPAuthorization?, challenges: String, observer: SourceObserver) throws(SourceError) -> Bool {
        throw SourceError(
            .notPermitted, source: place.name, reason: "it answered 401 to the user and the password", advice: .logIn)
    }
}

/// Encodes all characters that are not unreserved (RFC 3986 §2.3).
private func percentEncoded(_ text: String) -> String {
    let kept = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    return text.utf8.reduce(into: "") { result, byte in
        result +=
            kept.contains(byte)
            ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }
}
