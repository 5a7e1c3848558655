import CCurl

/// Fetches one range of the image into a sink, in order: with one request, or several in parallel, each retried on its own.
///
/// Not thread-safe: one thread at a time drives it.
final class HTTPFetch: @unchecked Sendable {
    // SAFETY of Sendable: passed once from `HTTPSource.open` to the thread of `SequentialBody`; the former no longer uses it.

    /// How many bytes all segments together may buffer with several connections. A segment has at least `segmentBytesMin`, so
    /// with the maximum of connections it is twice that.
    private static let earlyBytesMax: UInt64 = 8 << 20
    private static let segmentBytesMin: UInt64 = 256 << 10
    /// The buffer of libcurl for each of several connections.
    private static let smallBufferBytes = 64 << 10

    private let endpoint: HTTPEndpoint
    private let session: CurlSession
    private let output: MeteredSink
    private let report: @Sendable (SourceNote) -> Void
    private let range: Range<UInt64>
    private let segmentBytes: UInt64
    private let segmentsMax: Int
    private let connections: Int
    /// In the order of the image. The first delivers to the sink, the others buffer. There are twice as many as connections, so
    /// that transfers continue while received data are delivered and while a slow one holds up the order.
    private var segments: [HTTPSegment] = []
    private var planned: UInt64
    /// Emptied by segments that reached the front. Allocating new memory for each would cost more than the copying.
    private var spareBuffers: [[UInt8]] = []
    private var knownPin: HTTPValidator?
    private let readAhead: HTTPReadAhead?

    /// - Parameters:
    ///   - pin: nil at first contact, which is a single request; `range` may then extend beyond the end.
    ///   - ahead: small optional ranges to request at the same time; empty at first contact.
    init(
        _ range: Range<UInt64>, of endpoint: HTTPEndpoint, pin: HTTPValidator?, session: CurlSession,
        into sink: any ByteSink, ahead: [Range<UInt64>] = [], report: @escaping @Sendable (SourceNote) -> Void
    ) {
        self.endpoint = endpoint
        self.session = session
        self.report = report
        self.range = range
        knownPin = pin
        output = MeteredSink(sink)
        readAhead = ahead.isEmpty ? nil : pin.map { HTTPReadAhead(ahead, of: endpoint, pin: $0, session: session) }
        planned = range.lowerBound
        connections = pin == nil ? 1 : min(max(endpoint.options.connections, 1), SourceOptions.connectionsMax)
        if connections == 1 {
            (segmentBytes, segmentsMax) = (range.upperBound - range.lowerBound, 1)
        } else {
            (segmentBytes, segmentsMax) = Self.segmentation(connections: connections)
        }
    }

    private static func segmentation(connections: Int) -> (bytes: UInt64, count: Int) {
        let bytes = max(earlyBytesMax / UInt64(2 * connections), segmentBytesMin)
        return (bytes, max(Int(earlyBytesMax / bytes), connections))
    }

    /// The memory that a fetch with this many connections may use.
    static func bufferBytes(connections: Int) -> Int {
        if connections <= 1 { return 0 }
        let segments = segmentation(connections: min(connections, SourceOptions.connectionsMax))
        return Int(segments.bytes) * segments.count + smallBufferBytes * connections
    }

    /// What the first response stated; nil before it arrived.
    var pin: HTTPValidator? { segments.first?.pin ?? knownPin }

    /// What was received of `ahead`; complete after `run`.
    var known: [KnownBytes] { readAhead?.known ?? [] }

    /// Whether the body is paused because the server does not support ranges. `runOn` continues it.
    var isHeld: Bool { segments.first?.isHeld == true }

    /// Runs until all bytes are delivered, or until `isHeld`.
    func run(cancellation: Cancellation) throws(SourceError) {
        do throws(SourceError) {
            try cancellation.withHandler({ [session] in session.wake() }) { () throws(SourceError) in
                while try step(cancellation) {}
                readAhead?.finish(cancellation)
            }
        } catch {
            session.stopAll()
            throw error
        }
    }

    /// Continues a paused body into `sink`.
    func runOn(into sink: any ByteSink, cancellation: Cancellation) throws(SourceError) {
        output.sink = sink
        if let segment = segments.first, segment.isHeld {
            segment.resumeBody()
            if let easy = segment.easy { session.resume(easy) }
        }
        try run(cancellation: cancellation)
    }

    /// One iteration: start what is due, drive all transfers, process those that ended, wait. Returns false when nothing is
    /// left to do.
    private func step(_ cancellation: Cancellation) throws(SourceError) -> Bool {
        if cancellation.isCancelled { throw endpoint.error(.stopped, "cancelled", at: segments.first?.position) }
        planSegments()
        for segment in startable { try start(segment) }
        // After them, so that the existing connection serves the required request.
        readAhead?.startRequests()
        for (easy, code) in session.perform() {
            guard let segment = segments.first(where: { $0.easy === easy }) else {
                readAhead?.take(easy, code)
                continue
            }
            var outcome = segment.outcome(code, reason: easy.reason(for: code), proxyStatus: easy.proxyStatus)
            let target = easy.redirectURL
            end(segment)
            if isHungUp(segment, code), session.speaksTLS(at: segment.place ?? endpoint.address, cancellation: cancellation) {
                outcome = HTTPFailure.wantsTLS
            }
            try settle(segment, outcome, redirectURL: target, cancellation)
        }
        try endStalled()
        if isHeld { return false }
        // Requests into the freed space come before the delivery: the sink may block, and the servers need not wait.
        if retireFront() { return !segments.isEmpty || planned < range.upperBound }
        if try !deliverFront() { session.wait(seconds: secondsToWait()) }
        return true
    }

    /// Whether the first contact was a plain connection that closed without a response, as many TLS servers do.
    private func isHungUp(_ segment: HTTPSegment, _ code: CURLcode) -> Bool {
        segment.pin == nil && segment.spot.attempts == 0 && segment.isUnanswered
            && !(segment.place ?? endpoint.address).isSecure && HTTPFailure.mayWantTLS(code)
    }

    private func planSegments() {
        while segments.count < segmentsMax, planned < range.upperBound {
            let end = planned + min(segmentBytes, range.upperBound - planned)
            segments.append(
                HTTPSegment(
                    planned..<end, pin: knownPin, output: output,
                    retryTimeoutSeconds: endpoint.options.retryTimeoutSeconds,
                    endpoint: endpoint, early: segments.isEmpty ? nil : spareBuffers.popLast() ?? emptyBuffer()))
            planned = end
        }
    }

    /// Starts the segments that are due and for which there is a connection. A segment that waits to retry reserves a
    /// connection: segments after it can wait, it cannot.
    private var startable: [HTTPSegment] {
        var free = connections - segments.count { $0.easy != nil }
        var found: [HTTPSegment] = []
        for segment in segments where segment.easy == nil && !segment.isComplete && free > 0 {
            if segment.dueAt <= output.now { found.append(segment) }
            free -= 1
        }
        return found
    }

    private func start(_ segment: HTTPSegment) throws(SourceError) {
        if segment.place == nil, segment.spot.attempts == 0 { segment.place = endpoint.shortcut }
        let place = segment.place ?? endpoint.address
        var request = endpoint.request(
            to: place, range: segment.isSequential ? nil : segment.missing,
            ifRange: segment.isSequential ? nil : segment.pin?.ifRange)
        if connections > 1 { request.receiveBufferBytes = Self.smallBufferBytes }
        // Only then: after a broken connection, a retry need not wait for the resolver, which may be down as well.
        request.resolvesAnew = segment.spot.attempts > 0 && segment.isUnanswered
        segment.authorization = request.authorization
        segment.begin()
        switch session.start(request, receiver: segment) {
        case .success(let easy): segment.easy = easy
        case .failure(let refusal):
            throw endpoint.error(.unreachable, "libcurl: \(refusal.reason)", at: segment.position)
        }
    }

    private func end(_ segment: HTTPSegment) {
        if let easy = segment.easy { session.stop(easy) }
        segment.easy = nil
        if segment.isAccepted {
            endpoint.remember(segment.place ?? endpoint.address)
            segment.renewals = 0
        }
    }

    private func settle(
        _ segment: HTTPSegment, _ outcome: HTTPSegment.Outcome, redirectURL: String?, _ cancellation: Cancellation
    ) throws(SourceError) {
        switch outcome {
        case .done: break
        case .redirect:
            segment.redirects += 1
            segment.place = try endpoint.redirect(
                to: redirectURL, from: segment.place ?? endpoint.address, count: segment.redirects, at: segment.position)
        case .unauthorized(let challenges):
            if try renewAuthorization(of: segment, challenges, cancellation) { return }
            let refusal = HTTPSegment.Outcome.fail(.notPermitted, "the server answered 401", .giveCredentials)
            try settle(segment, refusal, redirectURL: nil, cancellation)
        case .short:
            segment.redirects = 0
            if let reason = segment.spot.shortPart(at: output.now, position: segment.position) {
                throw endpoint.error(.unreachable, reason + endpoint.elsewhere(segment.place), at: segment.position)
            }
        case .fault(let fault): try retry(segment, fault)
        case .fail(let kind, let reason, let advice):
            // A location that earlier redirects led to may have expired, such as a signed URL; the first address provides a new
            // one. A response that this transfer itself was redirected to is final.
            if segment.place != nil, segment.redirects == 0, kind != .changed {
                try retry(segment, TransientFailure(reason: reason))
            } else {
                throw endpoint.refusal(
                    kind, reason, of: segment.place ?? endpoint.address, at: segment.position, advice: advice)
            }
        case .refused: throw endpoint.error(.stopped, "cancelled", at: segment.position)
        }
    }

    /// Renews the authorization after a 401. False if that would not help, or if it must not be sent to this place.
    private func renewAuthorization(
        of segment: HTTPSegment, _ challenges: String, _ cancellation: Cancellation
    ) throws(SourceError) -> Bool {
        guard let authorizer = endpoint.authorizer, segment.renewals == 0,
            (segment.place ?? endpoint.address).origin == endpoint.address.origin,
            segment.spot.renewal(at: output.now, position: segment.position)
        else { return false }
        let isAsked = try output.excluding { () throws(SourceError) in
            try authorizer.renew(
                segment.authorization, challenges: challenges,
                observer: SourceObserver(cancellation: cancellation, report: report))
        }
        if isAsked { segment.renewals += 1 }
        segment.dueAt = output.now
        return true
    }

    private func retry(_ segment: HTTPSegment, _ fault: TransientFailure) throws(SourceError) {
        var fault = fault
        fault.reason += endpoint.elsewhere(segment.place)
        // The next try asks the first address again, wherever this one went.
        segment.place = nil
        segment.redirects = 0
        switch segment.spot.fault(fault, at: output.now, position: segment.position) {
        case .giveUp(let kind, let reason): throw endpoint.error(kind, reason, at: segment.position, advice: fault.advice)
        case .retry(let delaySeconds, let attempt):
            segment.dueAt = output.now.adding(seconds: delaySeconds)
            report(
                SourceNote(
                    offset: segment.position, attempt: attempt, delaySeconds: delaySeconds, reason: fault.reason))
        }
    }

    private func endStalled() throws(SourceError) {
        let limit = endpoint.options.stallTimeoutSeconds
        for segment in segments where segment.easy != nil && !segment.isHeld {
            if segment.isComplete {
                // All bytes are here but the transfer is still running: the body continues, or its end is late.
                end(segment)
                continue
            }
            let now = output.now
            guard segment.stallDeadline(stallTimeoutSeconds: limit, now: now) <= now else { continue }
            let seconds = min(now.seconds(since: segment.windowStart), limit)
            end(segment)
            try retry(segment, TransientFailure(reason: "no data for \(secondsText(seconds)) s"))
        }
    }

    /// Removes the front segment if it is complete and delivered; returns false if it is not.
    private func retireFront() -> Bool {
        guard let front = segments.first, front.easy == nil, front.isComplete, front.isDelivered else { return false }
        knownPin = front.pin
        segments.removeFirst()
        return true
    }

    /// Delivers what the front segment has buffered; returns false if it buffers nothing.
    private func deliverFront() throws(SourceError) -> Bool {
        do throws(Stopped) {
            guard let buffer = try segments.first?.moveToFront() else { return false }
            spareBuffers.append(buffer)
            return true
        } catch {
            throw endpoint.error(.stopped, "cancelled", at: segments.first?.position)
        }
    }

    private func emptyBuffer() -> [UInt8] {
        var buffer: [UInt8] = []
        buffer.reserveCapacity(Int(segmentBytes))
        return buffer
    }

    private func secondsToWait() -> Double {
        let now = output.now
        var wait = 1.0
        // For example after a redirect.
        if !startable.isEmpty { return 0 }
        for segment in segments where !segment.isComplete {
            if segment.easy != nil {
                let limit = endpoint.options.stallTimeoutSeconds
                wait = min(wait, segment.stallDeadline(stallTimeoutSeconds: limit, now: now).seconds(since: now))
            } else if segment.dueAt > now {
                wait = min(wait, segment.dueAt.seconds(since: now))
            }
        }
        return wait
    }
}
