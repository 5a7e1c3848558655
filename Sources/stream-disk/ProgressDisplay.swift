import CosiFormat
import Glibc
import StreamDisk
import Synchronization

/// The text that a person reads on standard error: progress, as a live line on a terminal and as a plain line every few seconds
/// elsewhere, with all other lines above it. All text goes through here, and is escaped so that it cannot control a terminal.
///
/// Calls return immediately: `LineWriter` waits for the reader.
final class ProgressDisplay: Sendable {
    private static let plainSeconds = 5.0
    /// How long the end of a run waits for all readers together.
    private static let patienceSeconds = 5.0

    private struct State {
        var estimate = ProgressEstimate()
        var lastPlain = 0.0
        /// Partition names by number.
        var names: [Int: String] = [:]
        var widths: [ProgressLine.Part: Int] = [:]
        var reconnecting: (since: Instant, fetchedBytes: UInt64, reason: String)?
        var fetchedBytes: UInt64 = 0
        var patienceEnds: Instant?
    }

    private let isVerbose: Bool
    private let isQuiet: Bool
    private let isLive: Bool
    private let retryTimeoutSeconds: Double
    private let work: ProgressLine.Work
    private let writer: LineWriter
    private let state = Mutex(State())

    init(isVerbose: Bool, isQuiet: Bool, retryTimeoutSeconds: Double, work: ProgressLine.Work = .stream) {
        self.work = work
        self.isVerbose = isVerbose
        self.isQuiet = isQuiet
        self.retryTimeoutSeconds = retryTimeoutSeconds
        isLive = Terminal.canRedraw && !isQuiet
        writer = LineWriter(descriptor: STDERR_FILENO, redraws: Terminal.canRedraw)
    }

    func show(_ event: StreamEvent) {
        if isQuiet { return }
        switch event {
        case .phase(let phase):
            if isVerbose || (!isLive && phase != .preflight && phase != .done) { line(phase.title) }
        case .progress(let progress): show(progress)
        case .retry(let note): show(note)
        case .warning(let warning): send(["warning: \(warning.message(.options()))"], .note)
        case .plan(let plan):
            state.withLock { state in
                for partition in plan.partitions { state.names[partition.number] = partition.name }
            }
        }
    }

    /// Prints a line of its own, above the live one.
    func line(_ text: String) { lines([text]) }

    func lines(_ lines: [String]) { send(lines, .vital) }

    func error(_ text: String) { line("stream-disk: \(text)") }

    /// Prints a question whose answer is typed on the same line.
    func question(_ text: String) { writer.send(printable(text, scalarsMax: .max), .vital) }

    /// Erases the live line and waits a moment until everything is printed, so that a result appears below it.
    func finish() {
        writer.clear()
        _ = writer.flush(until: patienceEnds)
    }

    /// Ends the output: waits a few seconds for the readers of events and of this text, and reports if events were lost.
    func end(_ log: EventLog?) {
        switch log?.end(until: patienceEnds) {
        case nil, .delivered: break
        case .failed(let code): if !isQuiet { line("warning: not all events could be written: \(SystemError(code))") }
        case .gaveUp: if !isQuiet { line("warning: not all events were read in time") }
        }
        writer.clear()
        _ = writer.flush(until: max(patienceEnds, .after(seconds: 0.5)))
        writer.end()
    }

    /// When waiting for readers ends; counted from the first wait.
    var patienceEnds: Instant {
        state.withLock { state in
            let end = state.patienceEnds ?? .after(seconds: Self.patienceSeconds)
            state.patienceEnds = end
            return end
        }
    }

    // MARK: Parts

    /// Why something takes long.
    func note(_ text: String) { if !isQuiet { send([text], .note) } }

    /// Worth knowing; dropped when nobody reads.
    func warning(_ text: String) { if !isQuiet { send(["warning: \(text)"], .note) } }

    /// Each part is one line: a newline inside it came from outside and is escaped.
    private func send(_ lines: [String], _ kind: LineWriter.Kind) {
        writer.send(lines.map { printable($0, scalarsMax: .max) + "\n" }.joined(), kind)
    }

    func show(_ progress: StreamProgress) {
        if isQuiet { return }
        let text = state.withLock { state -> String? in
            let before = state.estimate.limit
            state.estimate.add(progress)
            if state.estimate.limit != before { state.widths = [:] }
            state.fetchedBytes = progress.fetchedBytes
            if let reconnecting = state.reconnecting, progress.fetchedBytes > reconnecting.fetchedBytes {
                state.reconnecting = nil
            }
            if !isLive {
                guard progress.elapsedSeconds - state.lastPlain >= Self.plainSeconds else { return nil }
                state.lastPlain = progress.elapsedSeconds
            }
            var line = ProgressLine(progress: progress, estimate: state.estimate, work: work)
            line.partitions = progress.partitions.map { state.names[$0] ?? "partition \($0)" }
            line.reconnecting = state.reconnecting.map { reconnecting($0.since, $0.reason) }
            return isLive ? line.live(columns: Terminal.columns, widths: &state.widths) : line.plain
        }
        guard let text else { return }
        writer.send(printable(text, scalarsMax: .max) + (isLive ? "" : "\n"), .progress)
    }

    /// On a terminal, updates the live line; elsewhere, prints a line.
    private func show(_ note: SourceNote) {
        let now = state.withLock { state in
            let since = state.reconnecting?.since ?? .now
            state.reconnecting = (since, state.fetchedBytes, note.reason)
            return reconnecting(since, note.reason)
        }
        if isLive {
            let text = printable("\(now.text)  \(now.reason)", scalarsMax: .max)
            writer.send(ProgressLine.prefix(of: text, columns: Terminal.columns - 1), .progress)
        }
        if !isLive || isVerbose {
            send(
                [
                    "retrying from \(shortSizeText(note.offset)) in \(oneDecimal(note.delaySeconds)) s (retry \(note.attempt), "
                        + "\(now.spent) without progress): \(note.reason)"
                ], .note)
        }
    }

    private func reconnecting(_ since: Instant, _ reason: String) -> ProgressLine.Reconnecting {
        ProgressLine.Reconnecting(
            seconds: Instant.now.seconds(since: since), timeoutSeconds: retryTimeoutSeconds, reason: reason)
    }
}
