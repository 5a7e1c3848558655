import CCurl

/// Fetches a small document whole into memory, with the same retries, redirects and authorization as an image.
///
/// Not Sendable: the thread that calls `get` uses it.
final class HTTPDocument: CurlReceiver {
    /// The body of a response, and its headers.
    struct Answer {
        let bytes: [UInt8]
        let response: HTTPResponse
    }

    /// Fewer bytes than this in one stall time are no progress.
    private static let progressBytesMin = 512
    /// How much is kept of an error page, to see whether the server expects TLS.
    private static let pageBytesMax = 1 << 10
    private static let receiveBufferBytes = 16 << 10

    private let endpoint: HTTPEndpoint
    private let accept: String
    private let bytesMax: Int
    private let observer: SourceObserver

    private var response = HTTPResponse()
    private var body: [UInt8] = []
    private var isTooLong = false
    private var hasTooManyHeaders = false
    /// The deadline for the whole document. Moved by the time that a token server takes.
    private var end: Instant
    private var receivedBytes = 0

    private init(_ endpoint: HTTPEndpoint, accept: String, bytesMax: Int, observer: SourceObserver) {
        (self.endpoint, self.accept, self.bytesMax, self.observer) = (endpoint, accept, bytesMax, observer)
        end = .after(seconds: endpoint.options.retryTimeoutSeconds)
    }

    /// Fetches the document of `endpoint`. Blocks at most for the retry timeout, with all tries and redirects.
    ///
    /// - Parameters:
    ///   - accept: the accepted media types (RFC 9110 §12.5.1).
    ///   - bytesMax: throws `.unsupported` for a longer document.
    static func get(
        _ endpoint: HTTPEndpoint, accept: [String], bytesMax: Int, observer: SourceObserver
    ) throws(SourceError) -> Answer {
        let document = HTTPDocument(endpoint, accept: accept.joined(separator: ", "), bytesMax: bytesMax, observer: observer)
        guard let session = CurlSession() else { throw endpoint.error(.unreachable, "libcurl cannot be used") }
        return try observer.cancellation.withHandler({ session.wake() }) { () throws(SourceError) in
            try document.run(session)
        }
    }

    private func run(_ session: CurlSession) throws(SourceError) -> Answer {
        var spot = RetryState(timeoutSeconds: endpoint.options.retryTimeoutSeconds)
        var place = endpoint.address
        var (redirects, renewals) = (0, 0)
        while true {
            var request = endpoint.request(to: place, range: nil, ifRange: nil)
            request.headers.append("Accept: " + accept)
            request.receiveBufferBytes = Self.receiveBufferBytes
            request.resolvesAnew = spot.attempts > 0
            var (outcome, target, code) = try transfer(request, session)
            if spot.attempts == 0, !place.isSecure, receivedBytes == 0, HTTPFailure.mayWantTLS(code),
                session.speaksTLS(at: place, cancellation: observer.cancellation)
            {
                outcome = HTTPFailure.wantsTLS
            }
            switch outcome {
            case .done: return Answer(bytes: body, response: response)
            case .redirect:
                redirects += 1
                place = try endpoint.redirect(to: target, from: place, count: redirects, at: 0)
            case .unauthorized(let challenges):
                guard let authorizer = endpoint.authorizer, renewals == 0, place.origin == endpoint.address.origin else {
                    throw endpoint.refusal(.notPermitted, "the server answered 401", of: place, advice: .giveCredentials)
                }
                renewals += 1
                let start = Instant.now
                _ = try authorizer.renew(request.authorization, challenges: challenges, observer: observer)
                end = end.adding(seconds: Instant.now.seconds(since: start))
            case .fail(let kind, let reason, let advice):
                throw endpoint.refusal(kind, reason, of: place, advice: advice)
            case .fault(var fault):
                fault.reason += endpoint.elsewhere(place)
                (place, redirects) = (endpoint.address, 0)
                try retry(&spot, fault, session)
            case .refused, .short: throw endpoint.error(.stopped, "cancelled")
            }
        }
    }

    private func retry(
        _ spot: inout RetryState, _ fault: TransientFailure, _ session: CurlSession
    ) throws(SourceError) {
        switch spot.fault(fault, at: .now, position: 0) {
        case .giveUp(let kind, let reason): throw endpoint.error(kind, reason, advice: fault.advice)
        case .retry where Instant.now >= end:
            let limit = secondsText(endpoint.options.retryTimeoutSeconds)
            let tries = spot.attempts == 1 ? "1 try" : "\(spot.attempts) tries"
            throw endpoint.error(
                .unreachable, "no whole answer in \(limit) s (\(tries)); last: \(fault.reason)", advice: fault.advice)
        case .retry(let delaySeconds, let attempt):
            observer.report(SourceNote(offset: 0, attempt: attempt, delaySeconds: delaySeconds, reason: fault.reason))
            let due = Instant.after(seconds: delaySeconds)
            while Instant.now < due, !observer.cancellation.isCancelled { session.wait(seconds: due.seconds(since: .now)) }
        }
    }

    /// Runs one request to its end.
    private func transfer(
        _ request: HTTPRequest, _ session: CurlSession
    ) throws(SourceError) -> (HTTPSegment.Outcome, redirectURL: String?, code: CURLcode) {
        (response, body, receivedBytes) = (HTTPResponse(), [], 0)
        (isTooLong, hasTooManyHeaders) = (false, false)
        let easy: CurlEasy
        switch session.start(request, receiver: self) {
        case .success(let started): easy = started
        case .failure(let refusal): throw endpoint.error(.unreachable, "libcurl: \(refusal.reason)")
        }
        defer { session.stop(easy) }
        let limit = endpoint.options.stallTimeoutSeconds
        // Every try gets at least a second.
        let (start, end) = (Instant.now, max(end, .after(seconds: 1)))
        var (windowEnd, windowBytes) = (Instant.after(seconds: limit), 0)
        while !observer.cancellation.isCancelled {
            if let ended = session.perform().first(where: { $0.easy === easy }) {
                let reason = easy.reason(for: ended.code)
                return (outcome(ended.code, reason: reason, proxyStatus: easy.proxyStatus), easy.redirectURL, ended.code)
            }
            if receivedBytes - windowBytes >= Self.progressBytesMin {
                (windowEnd, windowBytes) = (Instant.after(seconds: limit), receivedBytes)
            }
            let deadline = min(windowEnd, end)
            if Instant.now >= deadline {
                let isSilent = windowEnd <= end || receivedBytes == 0
                let seconds = secondsText(min(limit, Instant.now.seconds(since: start)))
                let reason = isSilent ? "no data for \(seconds) s" : "the rest was still to come"
                return (.fault(TransientFailure(reason: reason)), nil, CURLE_OPERATION_TIMEDOUT)
            }
            session.wait(seconds: min(deadline.seconds(since: .now), 1))
        }
        throw endpoint.error(.stopped, "cancelled")
    }

    func receiveHeader(_ line: RawSpan) -> Bool {
        receivedBytes += line.byteCount
        hasTooManyHeaders = !response.add(line: line)
        return !hasTooManyHeaders
    }

    func receiveBody(_ bytes: RawSpan) -> CurlReception {
        receivedBytes += bytes.byteCount
        let isWanted = response.isComplete && response.status == 200
        let room = (isWanted ? bytesMax : Self.pageBytesMax) - body.count
        // SAFETY: the bytes are copied while the span is alive.
        unsafe bytes.withUnsafeBytes { unsafe body.append(contentsOf: $0.prefix(room)) }
        if bytes.byteCount <= room { return .taken }
        isTooLong = isWanted
        return .abort
    }

    private func outcome(_ code: CURLcode, reason: String, proxyStatus: Int) -> HTTPSegment.Outcome {
        if hasTooManyHeaders { return .fault(HTTPFailure.tooManyHeaders) }
        guard response.isComplete else {
            if !body.isEmpty, case .fail(let kind, let reason, let advice) = HTTPFailure.meaning(ofBytesThatAreNotHTTP: body) {
                return .fail(kind, reason, advice)
            }
            return HTTPFailure.meaning(of: code, reason: reason, proxyStatus: proxyStatus)
        }
        if response.status == 401, let challenges = response["www-authenticate"] { return .unauthorized(challenges: challenges) }
        if isTooLong { return .fail(.unsupported, "sends more than \(bytesMax) bytes") }
        switch HTTPVerdict(response, asked: 0..<1, pin: nil, isSequential: true) {
        case .wholeBody:
            return code == CURLE_OK ? .done : .fault(TransientFailure(reason: reason))
        case .redirect: return .redirect
        case .fault(let fault): return .fault(fault)
        case .fail(let kind, let reason, let advice):
            return HTTPFailure.meaning(of: body, to: response.status) ?? .fail(kind, reason, advice)
        case .body, .empty: return .fault(TransientFailure(reason: "the server answered a part", isContradiction: true))
        }
    }
}
