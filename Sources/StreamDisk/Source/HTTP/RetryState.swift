/// Why an attempt failed, if the next one may succeed.
struct TransientFailure: Equatable {
    var reason: String
    /// The response contradicted the request. A server that does this repeatedly will not stop.
    var isContradiction = false
    /// The value of `Retry-After` (RFC 9110 §10.2.3).
    var retryAfterSeconds: Double?
    /// What a user can do if no retry succeeds.
    var advice: SourceError.Advice?
}

/// The attempts at one position of the image, and when to give up: for lack of progress, never for total time.
///
/// The clock starts at the first fault. Only real progress stops it, so a server that sends one byte per connection also comes
/// to an end.
struct RetryState {
    enum Decision: Equatable {
        case retry(delaySeconds: Double, attempt: Int)
        case giveUp(SourceError.Kind, String)
    }

    /// Fewer bytes than this since the first fault are no progress.
    static let progressBytesMin: UInt64 = 64 << 10
    /// This many contradictory responses in a row are no accident.
    static let contradictionsMax = 4
    /// How often the authorization may be renewed without progress. The timeout does not limit it: its clock stands still while a
    /// token server is asked.
    static let renewalsMax = 8
    static let delayMinSeconds = 0.1
    static let delayMaxSeconds = 5.0
    /// The upper limit for a wait that a server asks for. Then it is tried anyway, since it may have recovered earlier.
    static let retryAfterMaxSeconds = 60.0

    private let timeoutSeconds: Double
    private var first: (time: Instant, position: UInt64)?
    private(set) var attempts = 0
    private var contradictions = 0
    private var renewals = 0

    init(timeoutSeconds: Double) { self.timeoutSeconds = timeoutSeconds }

    /// Whether the attempts at this position have used up their time at `now`, having reached `position`.
    func isExpired(at now: Instant, position: UInt64) -> Bool {
        guard let first, position - first.position < Self.progressBytesMin else { return false }
        return now.seconds(since: first.time) >= timeoutSeconds
    }

    /// Records a part that is correct but shorter than requested. It is no fault, but such parts must make progress within the
    /// retry timeout. Returns a reason to give up if they do not.
    mutating func shortPart(at now: Instant, position: UInt64) -> String? {
        if isExpired(at: now, position: position) { return "parts of a few bytes came for \(secondsText(timeoutSeconds)) s" }
        forgetBeforeProgress(to: position)
        first = first ?? (now, position)
        return nil
    }

    /// Records that the authorization is renewed. Returns false if that happened too often without progress.
    mutating func renewal(at now: Instant, position: UInt64) -> Bool {
        forgetBeforeProgress(to: position)
        first = first ?? (now, position)
        renewals += 1
        return renewals <= Self.renewalsMax
    }

    private mutating func forgetBeforeProgress(to position: UInt64) {
        guard let first, position - first.position >= Self.progressBytesMin else { return }
        self = RetryState(timeoutSeconds: timeoutSeconds)
    }

    /// Records a fault at `position` and returns what to do next.
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
        // Jitter, so that a hundred machines that are installed together do not retry at the same moment.
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
