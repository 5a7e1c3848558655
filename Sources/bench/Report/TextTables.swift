/// A report as text for a terminal.
enum TextTables {
    static func text(_ report: Report) -> String {
        var parts = [report.title + "\n" + settings(report), Table.figures(report).text]
        if let comparisons = Table.comparisons(report) { parts.append(comparisons.text) }
        for variant in report.variants {
            if let run = report.typical(variant.name), let stages = Table.stages(run) {
                parts.append("\(variant.name), the run nearest to the median:\n\(stages.text)")
            }
        }
        return parts.joined(separator: "\n\n") + "\n"
    }

    /// The options, on one line.
    static func settings(_ report: Report) -> String {
        report.settings.filter { !$0.key.hasPrefix("tried") }.sorted { $0.key < $1.key }
            .map { "\($0.key): \($0.value)" }.joined(separator: "; ")
    }

    /// The machine, on one line.
    static func machine(_ machine: Machine) -> String {
        let versions = machine.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return "\(machine.cpu), \(machine.cores) cores, \(sizeWords(Double(machine.memoryBytes))) of memory, "
            + "\(machine.kernel); " + versions.joined(separator: ", ")
    }
}
