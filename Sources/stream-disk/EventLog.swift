import Glibc
import StreamDisk

/// `--events FD`: one JSON object on each line, for programs (`EventLines`).
///
/// Calls return immediately: a reader that is slow or goes away neither blocks nor ends the run.
final class EventLog {
    private let writer: LineWriter
    private var events = EventLines(.options())

    init(descriptor: Int32) {
        writer = LineWriter(descriptor: descriptor) { count, seconds in
            EventLines.text(
                "warning", ["message": .text("\(count) warnings and retries were not read in time and are left out")], seconds)
                + "\n"
        }
    }

    /// Waits until everything has been read.
    func end(until deadline: Instant) -> LineWriter.Outcome {
        defer { writer.end() }
        return writer.flush(until: deadline)
    }

    static func isWritable(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags >= 0 && flags & O_ACCMODE != O_RDONLY
    }

    /// As ``EventLines/start(verb:options:)``.
    func writeStart(verb: String?, options: [String: JSONValue]) { send([events.start(verb: verb, options: options)]) }

    func write(_ event: StreamEvent) { send(events.lines(of: event)) }

    func write(completed result: StreamResult) { send(events.lines(completed: result)) }

    func write(_ error: StreamError, code: Int32, message: String) {
        send(events.lines(of: error, code: code, message: message))
    }

    /// For a run that never began.
    func write(usage message: String, code: Int32) { send([events.line(usage: message, code: code)]) }

    /// An event of work of another kind.
    func write(_ event: String, _ fields: [String: JSONValue], _ weight: EventLines.Weight = .vital) {
        send(events.lines(event, fields, weight))
    }

    /// How far work of another kind is.
    func write(progress: StreamProgress, fields: @escaping (ProgressEstimate) -> [String: JSONValue]) {
        send(events.lines(of: progress, fields: fields))
    }

    private func send(_ lines: [EventLines.Line]) {
        for line in lines {
            let kind: LineWriter.Kind =
                switch line.weight {
                case .vital: .vital
                case .note: .note
                case .progress: .progress
                }
            writer.send(line.text + "\n", kind, seconds: line.seconds)
        }
    }
}
