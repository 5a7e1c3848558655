import CCurl

/// A sink that measures the time spent waiting in it, which must not count against the server.
final class MeteredSink {
    var sink: any ByteSink
    private var blockedNanoseconds: UInt64 = 0

    init(_ sink: any ByteSink) { self.sink = sink }

    /// The current time on a clock that stops while the sink blocks.
    var now: Instant { Instant(nanoseconds: Instant.now.nanoseconds - blockedNanoseconds) }

    func append(_ bytes: RawSpan) throws(Stopped) {
        let start = Instant.now
        defer { blockedNanoseconds += Instant.now.nanoseconds - start.nanoseconds }
        try sink.append(bytes)
    }

    /// Runs work that must not count against the server. The clock stops meanwhile.
    func excluding<Value>(_ body: () throws(SourceError) -> Value) throws(SourceError) -> Value {
        let start = Instant.now
        defer { blockedNanoseconds += Instant.now.nanoseconds - start.nanoseconds }
        return try body()
    }
}

/// A contiguous part of the image being fetched: what was received, what is missing, and the state of its retries.
final class HTTPSegment: CurlReceiver {
    /// How a transfer ended.
    enum Outcome {
        case done
        case redirect
        /// A correct part arrived that ends early. The next request continues from there.
        case short
        case fault(TransientFailure)
        case fail(SourceError.Kind, String, SourceError.Advice? = nil)
        /// 401, with these challenges.
        case unauthorized(challenges: String)
        /// The sink wants no more.
        case refused
    }

    /// An unwanted response is read to its end if it is short: that keeps the connection usable.
    private static let discardedBytesMax = 64 << 10
    /// How much of its body is kept, to see whether it reports a TLS problem.
    private static let keptBytesMax = 1 << 10
    /// Fewer bytes than this within the stall timeout are no progress.
    private static let progressBytesMin = 512

    /// The bytes to fetch. The end changes once, when the first contact shows where the image ends.
    private(set) var range: Range<UInt64>
    /// The next byte to deliver.
    private(set) var position: UInt64
    private(set) var pin: HTTPValidator?
    /// Whether the server only sends the whole image.
    private(set) var isSequential = false
    /// The body waits for `resumeBody`: the first contact has shown that the server does not support ranges.
    private(set) var isHeld = false
    var spot: RetryState

    /// The current transfer. Weak: it keeps its receiver, and the session keeps it as long as it runs.
    weak var easy: CurlEasy?
    /// The earliest start of the next transfer.
    var dueAt: Instant
    /// The location of the next request; nil: the user's address.
    var place: HTTPAddress?
    var redirects = 0
    /// The authorization that the current transfer sent.
    var authorization: HTTPAuthorization?
    /// How often it was renewed since a response was last accepted.
    var renewals = 0

    private let output: MeteredSink
    private let endpoint: HTTPEndpoint
    /// Bytes received before the segments in front of this one were complete; nil at the front.
    private var early: [UInt8]?

    private var response = HTTPResponse()
    private var verdict: HTTPVerdict?
    /// The bytes that the current body contains, according to its headers.
    private var body: Range<UInt64> = 0..<0
    private var keptAnswer: [UInt8] = []
    /// The sink refused more bytes.
    private var isRefused = false
    private var receivedBytes = 0
    private(set) var windowStart: Instant
    private var windowBytes = 0

    init(
        _ range: Range<UInt64>, pin: HTTPValidator?, output: MeteredSink, retryTimeoutSeconds: Double, endpoint: HTTPEndpoint,
        early: [UInt8]?
    ) {
        self.endpoint = endpoint
        self.range = range
        self.pin = pin
        self.output = output
        position = range.lowerBound
        spot = RetryState(timeoutSeconds: retryTimeoutSeconds)
        self.early = early
        dueAt = output.now
        windowStart = dueAt
    }

    deinit { forgetEarly() }

    private func forgetEarly() {
        if let early { endpoint.earlyBytes.wrappingSubtract(UInt64(early.count), ordering: .relaxed) }
    }

    var isComplete: Bool { position == range.upperBound }
    /// Whether everything received was passed on, and nothing is buffered.
    var isDelivered: Bool { early == nil }
    var missing: Range<UInt64> { position..<range.upperBound }
    /// Whether a response was accepted, so that its location is worth remembering.
    var isAccepted: Bool { if case .body = verdict { true } else { false } }
    /// Whether the last transfer received no bytes at all.
    var isUnanswered: Bool { receivedBytes == 0 }

    /// Must be called right before a transfer starts.
    func begin() {
        response = HTTPResponse()
        verdict = nil
        keptAnswer = []
        receivedBytes = 0
        windowBytes = 0
        windowStart = output.now
    }

    /// The segments in front are complete. Delivers what is buffered; later bytes are delivered as they arrive. Returns the
    /// emptied buffer for the next segment; nil if this segment was already at the front.
    func moveToFront() throws(Stopped) -> [UInt8]? {
        forgetEarly()
        guard var bytes = early.take() else { return nil }
        // SAFETY: a UInt8 has no padding.
        if !bytes.isEmpty { try unsafe output.append(bytes.span.bytes) }
        bytes.removeAll(keepingCapacity: true)
        return bytes
    }

    /// Resumes the paused body.
    func resumeBody() {
        isHeld = false
        windowStart = output.now
    }

    /// When this transfer counts as stalled, unless enough bytes arrive before.
    func stallDeadline(stallTimeoutSeconds: Double, now: Instant) -> Instant {
        if receivedBytes - windowBytes >= Self.progressBytesMin {
            windowBytes = receivedBytes
            windowStart = now
        }
        // An attempt that has received nothing ends with the retry timeout, but every attempt gets at least one second.
        let isLast = receivedBytes < Self.progressBytesMin && spot.isExpired(at: now, position: position)
        return windowStart.adding(seconds: isLast ? min(stallTimeoutSeconds, 1) : stallTimeoutSeconds)
    }

    // MARK: Receiving

    func receiveHeader(_ line: RawSpan) -> Bool {
        receivedBytes += line.byteCount
        guard response.add(line: line) else {
            verdict = .fault(HTTPFailure.tooManyHeaders)
            return false
        }
        guard response.isComplete, verdict == nil else { return true }
        let judged = HTTPVerdict(response, asked: missing, pin: pin, isSequential: isSequential)
        switch judged {
        case .body(let part, let stated):
            body = part
            if pin == nil, let size = stated.sizeBytes { range = range.lowerBound..<min(range.upperBound, size) }
            pin = stated
            verdict = judged
        case .wholeBody(let stated):
            isSequential = true
            isHeld = true
            pin = stated
            range = 0..<(stated.sizeBytes ?? UInt64.max)
            body = range
            verdict = .body(range, pin: stated)
        case .empty:
            range = 0..<0
            pin = HTTPValidator(response, sizeBytes: 0)
            verdict = judged
        case .redirect, .fault, .fail: verdict = judged
        }
        return true
    }

    func receiveBody(_ bytes: RawSpan) -> CurlReception {
        guard case .body = verdict else { return discard(bytes) }
        if isHeld { return .pause }
        receivedBytes += bytes.byteCount
        // Only bytes at the delivery position are delivered: earlier ones are skipped, and none beyond the end are.
        let count = UInt64(bytes.byteCount)
        let passed = min(position - body.lowerBound, count)
        let taken = min(count - passed, min(range.upperBound, body.upperBound) - position)
        body = min(body.lowerBound + count, body.upperBound)..<body.upperBound
        if taken > 0 {
            let wanted = bytes.extracting(Int(passed)..<Int(passed + taken))
            do throws(Stopped) {
                if early == nil {
                    try output.append(wanted)
                } else {
                    // SAFETY: copied while the span is valid.
                    unsafe wanted.withUnsafeBytes { unsafe early?.append(contentsOf: $0) }
                    endpoint.earlyBytes.wrappingAdd(taken, ordering: .relaxed)
                }
            } catch {
                isRefused = true
                return .abort
            }
            position += taken
        }
        return passed + taken == count ? .taken : .abort
    }

    /// Skips the body of an unwanted response.
    private func discard(_ bytes: RawSpan) -> CurlReception {
        receivedBytes += bytes.byteCount
        // SAFETY: copied while the span is valid.
        unsafe bytes.withUnsafeBytes { unsafe keptAnswer.append(contentsOf: $0.prefix(Self.keptBytesMax - keptAnswer.count)) }
        if verdict == nil {
            verdict = HTTPFailure.meaning(ofBytesThatAreNotHTTP: keptAnswer)
            return .abort
        }
        return receivedBytes > Self.discardedBytesMax ? .abort : .taken
    }

    // MARK: The end of a transfer

    /// Interprets the end of the transfer.
    func outcome(_ code: CURLcode, reason: String, proxyStatus: Int) -> Outcome {
        if isRefused { return .refused }
        switch verdict {
        case .body:
            // Without a stated size, the end of the body is the end of the image.
            if code == CURLE_OK, range.upperBound == UInt64.max { range = range.lowerBound..<position }
            if isComplete { return .done }
            if !isSequential, position == body.upperBound { return .short }
            if code == CURLE_OK || code == CURLE_PARTIAL_FILE {
                return .fault(TransientFailure(reason: "the connection was closed before the end"))
            }
            return .fault(TransientFailure(reason: reason))
        case .wholeBody, .empty: return .done
        case .redirect: return .redirect
        case .fault(let fault): return .fault(fault)
        case .fail where response.status == 401 && response["www-authenticate"] != nil:
            return .unauthorized(challenges: response["www-authenticate"] ?? "")
        case .fail(let kind, let reason, let advice):
            return HTTPFailure.meaning(of: keptAnswer, to: response.status) ?? .fail(kind, reason, advice)
        case nil: return HTTPFailure.meaning(of: code, reason: reason, proxyStatus: proxyStatus)
        }
    }
}
