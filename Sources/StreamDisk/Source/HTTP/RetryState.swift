/// Why a try failed in a way that the next one may not.
struct TransientFailure: Equatable {
    var reason: String
    /// The answer contradicted the request: a server that does this again and again will not stop.
    var isContradiction = false
    /// What `Retry-After` asked for (RFC 9110 §10.2.3).
    var retryAfterSeconds: Double?
}

/// The tries at one place of the image, and when to give up: for lack of progress, never for total time.
///
/// The clock starts at the first fault. Only real progress stops it, so a server that gives one byte per connection
/// comes to an end too.
struct RetryState {
    enum Decision: Equatable {
        case retry(delaySeconds: Double, attempt: Int)
        case giveUp(SourceError.Kind, String)
    }

    /// Less than this since the first fault is no progress.
    static let progressBytesMin: UInt64 = 64 << 10
    /// So many answers in a row that contradict the request are no accident.
    static let contradictionsMax = 4
    static let delayMinSeconds = 0.1
    static let delayMaxSeconds = 5.0
    /// What a server asks for is waited for at most so long, and then tried: it may have come back earlier than it feared.
    static let retryAfterMaxSeconds = 60.0

    private let timeoutSeconds: Double
    private var first: (time: Instant, position: UInt64)?
    private(set) var attempts = 0
    private var contradictions = 0

    init(timeoutSeconds: Double) { self.timeoutSeconds = timeoutSeconds }

    /// Whether the tries of this spot have used up their time at `now`, having come to `position`.
    func isExpired(at now: Instant, position: UInt64) -> Bool {
        guard let first, position - first.position < Self.progressBytesMin else { return false }
        return now.seconds(since: first.time) >= timeoutSeconds
    }

    /// Takes note of a part that is shorter than asked for, and right: no fault, but such parts must come to something in
    /// the time for retries. A reason to give up when they do not.
    mutating func shortPart(at now: Instant, position: UInt64) -> String? {
        if isExpired(at: now, position: position) { return "parts of a few bytes came for \(secondsText(timeoutSeconds)) s" }
        forgetBeforeProgress(to: position)
        first = first ?? (now, position)
        return nil
    }

    private mutating func forgetBeforeProgress(to position: UInt64) {
        guard let first, position - first.position >= Self.progressBytesMin else { return }
        self = RetryState(timeoutSeconds: timeoutSeconds)
    }

    /// Takes note of a fault at `position`, and says what to do next.
    mutating func fault(_ fault: TransientFailure, at now: Instant, position: UInt64) -> Decision {
        forgetBeforeProgress(to: position)
        let start = first ?? (now, position)
        first = start
        attempts += 1
        contradictions = fault.isContradiction ? contradictions + 1 : 0

        let kind = fault.isContradiction ? SourceError.Kind.unsupported : .unreachable
        let spentSeconds = now.seconds(since: start.time)
        let leftSeconds = timeoutSeconds - spentSeconds
        if contradictions >= Self.contradictionsMax {
            return .giveUp(kind, "\(fault.reason), \(contradictions) times in a row")
        }
        if leftSeconds <= 0 {
            let tries = attempts == 1 ? "1 try" : "\(attempts) tries"
            return .giveUp(kind, "no progress for \(secondsText(spentSeconds)) s (\(tries)); last: \(fault.reason)")
        }
        let doubled = Self.delayMinSeconds * Double(UInt64(1) << UInt64(min(attempts - 1, 10)))
        // Jitter, so that a hundred machines installed at once do not come back at once.
        let asked = min(fault.retryAfterSeconds ?? 0, Self.retryAfterMaxSeconds)
        let delay = max(min(doubled, Self.delayMaxSeconds) * Double.random(in: 0.5...1), asked)
        return .retry(delaySeconds: min(delay, leftSeconds), attempt: attempts)
    }
}

extension Instant {
    func adding(seconds: Double) -> Instant {
        Instant(nanoseconds: nanoseconds + UInt64(min(max(seconds, 0), 3e8) * 1e9))
    }
}
