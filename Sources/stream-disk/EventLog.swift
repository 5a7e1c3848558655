import FoundationEssentials
import Glibc
import StreamDisk

/// `--events FD`: one JSON object a line, for programs.
///
/// `{"v":1,"t":<seconds since start>,"event":…}` and what belongs to the event. Calls return at once: a reader that is late or
/// goes away neither stops nor ends the run.
final class EventLog {
    /// Progress is told so often at most: three in a second, and with the last words of two phases five.
    private static let progressSeconds = 0.35

    private let writer: LineWriter
    private let begin = Instant.now
    private var estimate = ProgressEstimate()
    /// Progress that came too soon after another; told when a phase ends with it.
    private var heldProgress: StreamProgress?
    private var toldProgressAt: Instant?

    init(descriptor: Int32) {
        writer = LineWriter(descriptor: descriptor) { count, seconds in
            Self.line(
                "warning", ["message": .text("\(count) warnings and retries were not read in time and are left out")], seconds)
        }
    }

    /// Waits until everything was read.
    func end(until deadline: Instant) -> LineWriter.Outcome {
        defer { writer.end() }
        return writer.flush(until: deadline)
    }

    static func isWritable(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags >= 0 && flags & O_ACCMODE != O_RDONLY
    }

    /// The first line: which program does what, and when.
    ///
    /// - Parameters:
    ///   - verb: nil where the command line could not be read.
    ///   - options: what was asked for, without secrets.
    func writeStart(verb: String?, options: [String: JSONValue]) {
        emit(
            "start",
            [
                "version": .text(ProductVersion.current), "verb": .optional(verb), "options": .object(options),
                "time": .text(Date.now.formatted(.iso8601)),
            ])
    }

    func write(_ event: StreamEvent) {
        switch event {
        case .progress(let progress):
            estimate.add(progress)
            if let told = toldProgressAt, Instant.now.seconds(since: told) < Self.progressSeconds {
                heldProgress = progress
            } else {
                tell(progress)
            }
        case .phase, .plan:
            tellHeldProgress()
            emit(event, .vital)
        case .retry, .warning: emit(event, .note)
        }
    }

    private func tell(_ progress: StreamProgress) {
        heldProgress = nil
        toldProgressAt = .now
        emit(.progress(progress), .progress)
    }

    private func tellHeldProgress() {
        if let heldProgress { tell(heldProgress) }
    }

    func write(completed result: StreamResult) {
        tellHeldProgress()
        emit("completed", result.fields)
    }

    func write(_ error: StreamError, code: Int32, message: String) {
        tellHeldProgress()
        emit("error", error.fields(code: code, message: message))
    }

    /// A run that never began.
    func write(usage message: String, code: Int32) {
        emit(
            "error",
            [
                "code": .count(UInt64(code)), "kind": .text("usage"), "message": .text(message),
                "phase": .text(StreamPhase.preflight.rawValue), "diskState": .text(StreamError.DiskState.untouched.rawValue),
            ])
    }

    private func emit(_ event: StreamEvent, _ kind: LineWriter.Kind) {
        emit(event.name, event.fields(estimate, .options()), kind)
    }

    private func emit(_ event: String, _ fields: [String: JSONValue], _ kind: LineWriter.Kind = .vital) {
        let seconds = Instant.now.seconds(since: begin)
        writer.send(Self.line(event, fields, seconds), kind, seconds: seconds)
    }

    private static func line(_ event: String, _ fields: [String: JSONValue], _ seconds: Double) -> String {
        var all = fields
        all["v"] = .count(1)
        all["t"] = .number((seconds * 1e6).rounded() / 1e6)
        all["event"] = .text(event)
        return JSONValue.object(all).line + "\n"
    }
}
