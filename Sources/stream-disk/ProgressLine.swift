import CosiFormat
import StreamDisk

/// The words and the bar that show the progress of a run. Decides what is shown, not where.
struct ProgressLine {
    let progress: StreamProgress
    let estimate: ProgressEstimate
    var work = Work.stream
    /// What is being fetched, by partition name.
    var partitions: [String] = []
    /// The source does not answer: for how long, how long it may take, and why.
    var reconnecting: Reconnecting?

    /// What a run does, in the words for it.
    enum Work {
        case stream
        /// Reads a disk, and writes the image that it makes of it.
        case pack
    }

    struct Reconnecting {
        var seconds: Double
        var timeoutSeconds: Double
        var reason: String

        var spent: String { "\(Int(seconds)) s of \(Int(timeoutSeconds)) s" }
        var text: String { "reconnecting, \(spent)" }
    }

    /// The parts of a line, most important first; what does not fit is left out from the end.
    enum Part: Int {
        case percent, reconnecting, motion, onDisk, elapsed, partition, phase, reason
    }

    /// In the order in which they are shown.
    private var parts: [(part: Part, text: String)] {
        let number = "\(Int(estimate.share * 100))"
        var parts: [(part: Part, text: String)] = [
            (.phase, estimate.limit == .flush ? "flush" : work == .pack ? "pack" : progress.phase.rawValue),
            (.percent, String(repeating: " ", count: 3 - number.count) + number + " %"),
        ]
        if let reconnecting { parts.append((.reconnecting, reconnecting.text)) }
        parts.append((.motion, motions[0]))
        if estimate.limit == .source, progress.phase == .write {
            parts.append((.onDisk, "\(roundSizeText(progress.onDiskBytes)) \(work == .pack ? "written" : "on disk")"))
        }
        if let first = partitions.first {
            parts.append((.partition, first + (partitions.count > 1 ? " +\(partitions.count - 1)" : "")))
        }
        parts.append((.elapsed, durationText(progress.elapsedSeconds)))
        if let reconnecting { parts.append((.reason, reconnecting.reason)) }
        return parts
    }

    /// For output where lines stay below each other.
    var plain: String { parts.map(\.text).joined(separator: "  ") }

    /// For a terminal of this many columns; never long enough to wrap. The bar keeps its length and each part the width it had
    /// (`widths`), so that nothing moves about.
    func live(columns: Int, widths: inout [Part: Int]) -> String {
        let cells = columns >= 120 ? 20 : columns >= 100 ? 10 : columns >= 60 ? 5 : 0
        var bar = ""
        if cells > 0 {
            let full = Int(estimate.share * Double(cells))
            bar = "[" + String(repeating: "#", count: full) + String(repeating: "-", count: cells - full) + "]"
        }
        // Escape before measuring.
        var parts = self.parts.map { (part: $0.part, text: printable($0.text)) }
        for (part, text) in parts { widths[part] = max(widths[part] ?? 0, Self.columns(of: text)) }
        // The space after a bar that the phase follows.
        let room = columns - 1 - bar.count - (bar.isEmpty ? 0 : 1)
        func isTooLong() -> Bool { parts.reduce(0) { $0 + 2 + (widths[$1.part] ?? 0) } > room + 2 }
        while isTooLong(), let least = parts.max(by: { $0.part.rawValue < $1.part.rawValue }),
            least.part.rawValue > Part.motion.rawValue
        {
            // A reason is shortened rather than left out.
            if least.part == .reason, room > 100 { break }
            parts.removeAll { $0.part == least.part }
        }
        // Then try fewer words: half a number would be another number.
        if isTooLong(), let index = parts.firstIndex(where: { $0.part == .motion }) {
            for text in motions where isTooLong() {
                parts[index].text = text
                widths[.motion] = Self.columns(of: text)
            }
            if isTooLong() { parts.remove(at: index) }
        }
        // A percentage below 100 already has a space before it.
        if !bar.isEmpty, parts.first?.part != .percent { bar += " " }
        for (part, text) in parts {
            bar += text + String(repeating: " ", count: max(0, (widths[part] ?? 0) - Self.columns(of: text)) + 2)
        }
        while bar.hasSuffix(" ") { bar.removeLast() }
        return Self.prefix(of: bar, columns: columns - 1)
    }

    /// How far and how fast; then the same in fewer words.
    private var motions: [String] {
        let verb: String
        switch estimate.limit {
        case .source: verb = work == .pack ? "read" : "fetched"
        case .disk: verb = work == .pack ? "read" : "written"
        case .verify: verb = "compared"
        case .flush:
            let time = durationText(estimate.limitSeconds)
            return ["\(roundSizeText(progress.onDiskBytes)) written, flushing for \(time)", "flushing for \(time)"]
        }
        let pair = pairText(estimate.doneBytes, of: estimate.totalBytes)
        if reconnecting != nil { return ["\(verb) \(pair)", pair] }
        let rate = estimate.isSettled ? " at \(shortSizeText(UInt64(estimate.rate)))/s" : ""
        guard let seconds = estimate.etaSeconds, seconds > 0 else { return ["\(verb) \(pair)\(rate)", "\(verb) \(pair)", pair] }
        let left = "\(durationText(seconds.rounded(.up))) left"
        return ["\(verb) \(pair)\(rate), \(left)", "\(verb) \(pair), \(left)", "\(pair), \(left)", left]
    }

    /// Counts two columns for any character that is not ASCII, because it may take two.
    static func columns(of text: String) -> Int { text.reduce(0) { $0 + ($1.isASCII ? 1 : 2) } }

    /// As much of a text as certainly fits into this many columns.
    static func prefix(of text: String, columns: Int) -> String {
        var left = columns
        return String(
            text.prefix { character in
                left -= character.isASCII ? 1 : 2
                return left >= 0
            })
    }
}

/// "41 of 108 MiB": both in the unit of the total, with one decimal if the value is below ten.
func pairText(_ done: UInt64, of total: UInt64) -> String {
    let unit = SizeUnit(total)
    return "\(unit.number(done, hasDecimal: unit.hasDecimal(total))) of \(roundSizeText(total))"
}

/// "108 MiB", "4.1 GiB": truncated, never rounded up.
func roundSizeText(_ bytes: UInt64) -> String {
    let unit = SizeUnit(bytes)
    return "\(unit.number(bytes, hasDecimal: unit.hasDecimal(bytes))) \(unit.name)"
}

private struct SizeUnit {
    private static let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    private let shift: UInt64

    init(_ bytes: UInt64) {
        var shift: UInt64 = 0
        while shift < 60, bytes >> shift >= 1024 { shift += 10 }
        self.shift = shift
    }

    var name: String { Self.names[Int(shift / 10)] }

    func hasDecimal(_ bytes: UInt64) -> Bool { shift > 0 && bytes >> shift < 10 }

    func number(_ bytes: UInt64, hasDecimal: Bool) -> String {
        guard hasDecimal else { return "\(bytes >> shift)" }
        // The top ten bits of the remainder are enough for one decimal.
        let rest = (bytes >> (shift - 10)) & 1023
        return "\(bytes >> shift).\((rest * 10) >> 10)"
    }
}

func durationText(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 359_999))
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    if hours > 0 { return "\(hours) h \(minutes) min" }
    return minutes > 0 ? "\(minutes) min \(rest) s" : "\(rest) s"
}
