/// The events of one run as lines of JSON, for every front-end alike (docs/EVENTS.md).
///
/// `{"v":1,"t":<seconds since start>,"event":…}` and what belongs to the event, without a newline. Progress is told no more than five
/// times a second.
package struct EventLines {
    /// How much a line is missed when it is not read.
    package enum Weight { case vital, note, progress }

    package struct Line {
        package let text: String
        package let weight: Weight
        /// Since the start.
        package let seconds: Double
    }

    /// Progress is told so often at most: three in a second, and with the last words of two phases five.
    private static let progressSeconds = 0.35

    private let wording: Wording
    private let begin = Instant.now
    private var estimate = ProgressEstimate()
    /// Progress that came too soon after another; told when a phase ends with it.
    private var heldProgress: StreamProgress?
    private var toldProgressAt: Instant?

    package init(_ wording: Wording) { self.wording = wording }

    /// The first line: which program does what, and when.
    ///
    /// - Parameters:
    ///   - verb: nil where what was asked for could not be read.
    ///   - options: what was asked for, without secrets.
    package func start(verb: String?, options: [String: JSONValue]) -> Line {
        line(
            "start",
            [
                "version": .text(ProductVersion.current), "verb": .optional(verb), "options": .object(options),
                "time": .text(utcTimeText()),
            ])
    }

    /// What is told now of an event.
    package mutating func lines(of event: StreamEvent) -> [Line] {
        switch event {
        case .progress(let progress):
            estimate.add(progress)
            if let told = toldProgressAt, Instant.now.seconds(since: told) < Self.progressSeconds {
                heldProgress = progress
                return []
            }
            return [line(of: progress)]
        case .phase, .plan: return heldLines() + [line(event.name, event.fields(estimate, wording))]
        case .retry, .warning: return [line(event.name, event.fields(estimate, wording), .note)]
        }
    }

    package mutating func lines(completed result: StreamResult) -> [Line] { heldLines() + [line("completed", result.fields)] }

    /// The end of an inspection, which has no disk and no plan.
    package mutating func lines(completed contents: ImageContents, isHashCompared: Bool) -> [Line] {
        let seconds = Instant.now.seconds(since: begin)
        return heldLines() + [line("completed", contents.fields(completedAfter: seconds, isHashCompared: isHashCompared))]
    }

    package mutating func lines(of error: StreamError, code: Int32, message: String) -> [Line] {
        heldLines() + [line("error", error.fields(code: code, message: message))]
    }

    /// A run that never began.
    package func line(usage message: String, code: Int32) -> Line {
        line(
            "error",
            [
                "code": .count(UInt64(code)), "kind": .text("usage"), "message": .text(message),
                "phase": .text(StreamPhase.preflight.rawValue), "diskState": .text(StreamError.DiskState.untouched.rawValue),
            ])
    }

    private mutating func line(of progress: StreamProgress) -> Line {
        heldProgress = nil
        toldProgressAt = .now
        let event = StreamEvent.progress(progress)
        return line(event.name, event.fields(estimate, wording), .progress)
    }

    private mutating func heldLines() -> [Line] { heldProgress.map { [line(of: $0)] } ?? [] }

    private func line(_ event: String, _ fields: [String: JSONValue], _ weight: Weight = .vital) -> Line {
        let seconds = Instant.now.seconds(since: begin)
        return Line(text: Self.text(event, fields, seconds), weight: weight, seconds: seconds)
    }

    /// An event of a front-end's own.
    package static func text(_ event: String, _ fields: [String: JSONValue], _ seconds: Double) -> String {
        var all = fields
        all["v"] = .count(1)
        all["t"] = .number((seconds * 1e6).rounded() / 1e6)
        all["event"] = .text(event)
        return JSONValue.object(all).line
    }
}
