/// The events of one run as lines of JSON, the same for every front-end (docs/EVENTS.md).
///
/// A line is `{"v":1,"t":<seconds since start>,"event":…}` with the fields of the event. Progress is limited to five lines per
/// second. Used by one thread at a time.
public struct EventLines {
    /// How important a line is if its reader is slow.
    package enum Weight: Sendable { case vital, note, progress }

    /// One line.
    public struct Line: Sendable {
        /// The JSON object, without a newline.
        public let text: String
        package let weight: Weight
        /// Time since the start.
        package let seconds: Double
    }

    /// The minimum between two lines of progress: three per second, or five with the final ones of two phases.
    private static let progressSeconds = 0.35

    private let wording: Wording
    private let begin = Instant.now
    private var estimate = ProgressEstimate()
    /// Progress that came too soon after another. Reported if a phase ends with it.
    private var heldProgress: ((ProgressEstimate) -> [String: JSONValue])?
    private var toldProgressAt: Instant?

    /// Begins the clock of `t`. Messages are in the front-end's wording.
    public init(_ wording: Wording = Wording()) { self.wording = wording }

    /// The first line: version, verb, options and time.
    ///
    /// - Parameters:
    ///   - verb: nil if the request could not be parsed.
    ///   - options: the options of the run, without secrets.
    public func start(verb: String?, options: [String: JSONValue] = [:]) -> Line {
        line(
            "start",
            [
                "version": .text(ProductVersion.current), "verb": .optional(verb), "options": .object(options),
                "time": .text(utcTimeText()),
            ])
    }

    /// The lines to write now for an event; there may be none, or progress that was held back.
    public mutating func lines(of event: StreamEvent) -> [Line] {
        switch event {
        case .progress(let progress):
            let wording = wording
            return lines(of: progress) { event.fields($0, wording) }
        case .phase, .plan: return heldLines() + [line(event.name, event.fields(estimate, wording))]
        case .retry, .warning: return [line(event.name, event.fields(estimate, wording), .note)]
        }
    }

    /// The same for another kind of work, which counts in the bytes of `progress` and has its own fields.
    package mutating func lines(
        of progress: StreamProgress, fields: @escaping (ProgressEstimate) -> [String: JSONValue]
    ) -> [Line] {
        estimate.add(progress)
        if let told = toldProgressAt, Instant.now.seconds(since: told) < Self.progressSeconds {
            heldProgress = fields
            return []
        }
        return [line(of: fields)]
    }

    /// An event of work of another kind, other than progress.
    package mutating func lines(_ event: String, _ fields: [String: JSONValue], _ weight: Weight = .vital) -> [Line] {
        (weight == .vital ? heldLines() : []) + [line(event, fields, weight)]
    }

    /// The end of a run.
    public mutating func lines(completed result: StreamResult) -> [Line] { heldLines() + [line("completed", result.fields)] }

    /// The end of an inspection, which has neither a disk nor a plan.
    public mutating func lines(completed contents: ImageContents, isHashCompared: Bool) -> [Line] {
        let seconds = Instant.now.seconds(since: begin)
        return heldLines() + [line("completed", contents.fields(completedAfter: seconds, isHashCompared: isHashCompared))]
    }

    /// The end of a run that failed.
    ///
    /// - Parameters:
    ///   - code: the exit code, if it differs from the error's.
    ///   - message: the message, if it differs from the error's.
    public mutating func lines(of error: StreamError, code: Int32? = nil, message: String? = nil) -> [Line] {
        heldLines() + [line("error", error.fields(code: code, message: message ?? error.message(wording)))]
    }

    /// The end of a run that never began, because the request is invalid.
    package func line(usage message: String, code: Int32) -> Line {
        line(
            "error",
            [
                "code": .count(UInt64(code)), "kind": .text("usage"), "message": .text(message),
                "phase": .text(StreamPhase.preflight.rawValue), "diskState": .text(StreamError.DiskState.untouched.rawValue),
            ])
    }

    private mutating func line(of progress: (ProgressEstimate) -> [String: JSONValue]) -> Line {
        heldProgress = nil
        toldProgressAt = .now
        return line("progress", progress(estimate), .progress)
    }

    private mutating func heldLines() -> [Line] { heldProgress.map { [line(of: $0)] } ?? [] }

    private func line(_ event: String, _ fields: [String: JSONValue], _ weight: Weight = .vital) -> Line {
        let seconds = Instant.now.seconds(since: begin)
        return Line(text: Self.text(event, fields, seconds), weight: weight, seconds: seconds)
    }

    /// A line with a front-end's own event.
    package static func text(_ event: String, _ fields: [String: JSONValue], _ seconds: Double) -> String {
        var all = fields
        all["v"] = .count(1)
        all["t"] = .number((seconds * 1e6).rounded() / 1e6)
        all["event"] = .text(event)
        return JSONValue.object(all).line
    }
}
