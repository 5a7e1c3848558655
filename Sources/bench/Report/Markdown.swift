/// Reports as Markdown, for a README without a figure typed by hand.
enum Markdown {
    static let begin = "<!-- bench: begin -->"
    static let end = "<!-- bench: end -->"

    static func text(_ reports: [Report]) -> String {
        var parts: [String] = []
        // Usually all reports are from one machine: then it is named once.
        for machine in reports.map({ TextTables.machine($0.machine) }).uniqued {
            parts.append("Taken on: " + machine + ".")
        }
        for report in reports {
            parts.append("### \(report.title)")
            let rounds = report.measurements.map(\.round).max() ?? 0
            parts.append(
                "\(report.note) \(rounds) rounds after a warm-up; revision \(report.machine.revision), "
                    + "\(report.date), load before \(report.machine.loadAverage). \(TextTables.settings(report)).")
            parts.append(Table.figures(report).markdown)
            if let comparisons = Table.comparisons(report) { parts.append(comparisons.markdown) }
        }
        return parts.joined(separator: "\n\n") + "\n"
    }

    /// `document` with the text between the markers replaced by `text`. Throws unless it has each marker exactly once.
    static func replacing(in document: String, with text: String) throws -> String {
        let head = document.split(separator: begin, omittingEmptySubsequences: false)
        guard head.count == 2 else { throw BenchError("the file does not have one line \(begin)") }
        let tail = head[1].split(separator: end, omittingEmptySubsequences: false)
        guard tail.count == 2 else { throw BenchError("the file does not have one line \(end) behind it") }
        return "\(head[0])\(begin)\n\n\(text)\n\(end)\(tail[1])"
    }
}

extension [String] {
    /// Each value once, in order of first occurrence.
    fileprivate var uniqued: [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
