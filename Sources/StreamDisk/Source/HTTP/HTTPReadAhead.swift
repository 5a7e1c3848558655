import CCurl

/// Small optional ranges requested in parallel to a fetch, on its session. None is retried, and those that take too long are
/// abandoned.
///
/// Used only on the thread that drives the session.
final class HTTPReadAhead {
    /// Maximum number of concurrent requests, each on its own connection.
    static let requestsMax = 16
    /// The buffer of libcurl for each of them.
    private static let receiveBufferBytes = 16 << 10
    /// How long the next response may take, as a multiple of the time of the fetch, within these bounds: a server that serves
    /// one connection at a time never answers the other requests.
    private static let patienceFactor = 4.0
    private static let patienceSeconds = 1.0...5.0

    private struct Request {
        let easy: CurlEasy
        let segment: HTTPSegment
        let sink: CollectingSink
    }

    private let endpoint: HTTPEndpoint
    private let pin: HTTPValidator
    private let session: CurlSession
    private let begin = Instant.now
    /// No later request then needs the connections, and the one that existed before is kept for the fetch.
    private let fitsAtOnce: Bool
    private var waiting: ArraySlice<Range<UInt64>>
    private var running: [Request] = []
    /// The received ranges, in order of arrival.
    private(set) var known: [KnownBytes] = []

    init(_ ranges: [Range<UInt64>], of endpoint: HTTPEndpoint, pin: HTTPValidator, session: CurlSession) {
        (self.endpoint, self.pin, self.session) = (endpoint, pin, session)
        waiting = ranges[...]
        fitsAtOnce = ranges.count <= Self.requestsMax
    }

    /// Starts waiting requests, as far as the limit allows.
    func startRequests() {
        while running.count < Self.requestsMax, let range = waiting.popFirst() {
            let sink = CollectingSink(bytesMax: range.count)
            let segment = HTTPSegment(
                range, pin: pin, output: MeteredSink(sink), retryTimeoutSeconds: endpoint.options.retryTimeoutSeconds,
                endpoint: endpoint, early: nil)
            var request = endpoint.request(to: endpoint.shortcut ?? endpoint.address, range: range, ifRange: pin.ifRange)
            request.receiveBufferBytes = Self.receiveBufferBytes
            request.usesOwnConnection = fitsAtOnce
            segment.begin()
            guard case .success(let easy) = session.start(request, receiver: segment) else { return giveUpWaiting() }
            running.append(Request(easy: easy, segment: segment, sink: sink))
        }
    }

    /// Processes a transfer that ended, if it is one of these.
    func take(_ easy: CurlEasy, _ code: CURLcode) {
        guard let index = running.firstIndex(where: { $0.easy === easy }) else { return }
        let request = running.remove(at: index)
        let outcome = request.segment.outcome(code, reason: "", proxyStatus: easy.proxyStatus)
        session.stop(easy)
        guard case .done = outcome else { return giveUpWaiting() }
        known.append(KnownBytes(offset: request.segment.range.lowerBound, bytes: request.sink.bytes))
    }

    /// Waits for the requests in progress, once the fetch has finished.
    func finish(_ cancellation: Cancellation) {
        let spent = Instant.now.seconds(since: begin)
        let patience = min(max(spent * Self.patienceFactor, Self.patienceSeconds.lowerBound), Self.patienceSeconds.upperBound)
        var deadline = Instant.after(seconds: patience)
        startRequests()
        while !running.isEmpty, !cancellation.isCancelled, Instant.now < deadline {
            let ended = session.perform()
            for (easy, code) in ended { take(easy, code) }
            if ended.isEmpty {
                session.wait(seconds: deadline.seconds(since: .now))
            } else {
                deadline = Instant.after(seconds: patience)
                startRequests()
            }
        }
        for request in running { session.stop(request.easy) }
        running = []
    }

    /// A server that refused one request gets no more of them.
    private func giveUpWaiting() { waiting = [] }
}
