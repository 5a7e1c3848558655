import Glibc
import StreamDisk

/// Progress for a person, on standard error: a live line on a terminal, a plain line every few seconds elsewhere.
final class ProgressDisplay {
    private static let plainSeconds = 5.0

    private let isVerbose: Bool
    private let isQuiet: Bool
    private let isLive: Bool
    private var isLineOpen = false
    private var lastPlain = 0.0
    private var phase = StreamPhase.preflight
    /// For the rate: the last second or so, smoothed.
    private var rate = 0.0
    private var last: (seconds: Double, bytes: UInt64)?

    init(isVerbose: Bool, isQuiet: Bool) {
        self.isVerbose = isVerbose
        self.isQuiet = isQuiet
        isLive = Terminal.isShown && !isQuiet
    }

    func show(_ event: StreamEvent) {
        if isQuiet { return }
        switch event {
        case .phase(let phase):
            self.phase = phase
            (rate, last) = (0, nil)
            if isVerbose || (!isLive && phase != .preflight && phase != .done) { line(phase.title) }
        case .progress(let progress): update(progress)
        case .retry(let note):
            line(
                "retrying from byte \(note.offset) in \(oneDecimal(note.delaySeconds)) s (try \(note.attempt)): \(note.reason)")
        case .warning(let text): line("warning: \(text)")
        case .plan(let plan):
            if isVerbose {
                line(PlanText.text(plan))
            } else {
                line(PlanText.headline(plan))
            }
        }
    }

    /// A line of its own, above the live one.
    func line(_ text: String) {
        finish()
        Terminal.writeAll(text.hasSuffix("\n") ? text : text + "\n", to: STDERR_FILENO)
    }

    func error(_ text: String) { line("stream-disk: \(text)") }

    /// Ends the live line.
    func finish() {
        guard isLineOpen else { return }
        Terminal.writeAll("\n", to: STDERR_FILENO)
        isLineOpen = false
    }

    private func update(_ progress: StreamProgress) {
        measure(progress)
        if isLive {
            let width = Terminal.columns
            let text = bar(progress, width: width)
            Terminal.writeAll("\r\u{1b}[K" + text.prefix(max(width - 1, 20)), to: STDERR_FILENO)
            isLineOpen = true
        } else if progress.elapsedSeconds - lastPlain >= Self.plainSeconds {
            lastPlain = progress.elapsedSeconds
            line(plain(progress))
        }
    }

    private func measure(_ progress: StreamProgress) {
        let bytes = progress.way.done
        defer { last = (progress.elapsedSeconds, bytes) }
        guard let last, progress.elapsedSeconds > last.seconds, bytes >= last.bytes else { return }
        let now = Double(bytes - last.bytes) / (progress.elapsedSeconds - last.seconds)
        rate = rate == 0 ? now : 0.8 * rate + 0.2 * now
    }

    private func share(_ progress: StreamProgress) -> Double {
        let (done, total) = progress.way
        return total > 0 ? min(1, Double(done) / Double(total)) : 1
    }

    private func bar(_ progress: StreamProgress, width: Int) -> String {
        let text = " " + plain(progress)
        let cells = max(0, min(30, width - text.count - 4))
        guard cells >= 5 else { return text }
        let full = Int(share(progress) * Double(cells))
        return "[" + String(repeating: "#", count: full) + String(repeating: "-", count: cells - full) + "]" + text
    }

    private func plain(_ progress: StreamProgress) -> String {
        let (done, total) = progress.way
        let name = progress.phase == .write && done == total ? "flush" : progress.phase.rawValue
        var text = "\(name) \(Int(share(progress) * 100)) %  \(shortSizeText(done)) of \(shortSizeText(total))  "
            + "\(shortSizeText(UInt64(rate)))/s"
        if rate > 0, done < total { text += "  \(duration(Double(total - done) / rate)) left" }
        return text
    }

    private func duration(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 359_999))
        let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
        if hours > 0 { return "\(hours) h \(minutes) min" }
        return minutes > 0 ? "\(minutes) min \(rest) s" : "\(rest) s"
    }
}

extension StreamProgress {
    /// How far the present phase is, in bytes.
    fileprivate var way: (done: UInt64, total: UInt64) {
        phase == .verify ? (verifiedBytes, verifiedBytesTotal) : (decodedBytes, uncompressedBytesTotal)
    }
}

extension StreamPhase {
    fileprivate var title: String {
        switch self {
        case .preflight: "reading and checking the image's metadata"
        case .invalidate: "removing the old partition table"
        case .write: "writing"
        case .verify: "reading the disk and comparing"
        case .commit: "writing the partition table"
        case .done: "done"
        }
    }
}

/// One digit behind the point, without Foundation.
func oneDecimal(_ value: Double) -> String {
    let tenths = Int((min(max(value, 0), 1e15) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}
