import ArgumentParser
import FoundationEssentials

/// The number of rounds and the output files; the same for every scenario.
struct MeasurementOptions: ParsableArguments {
    @Option(help: "Counted rounds, after one that is not counted. Every variant runs once a round.")
    var rounds = 5

    @Option(help: ArgumentHelp("Write the figures of every run to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("The same with what each run did over time, for 'bench report --html'.", valueName: "file"))
    var timelines: String?

    @Option(help: ArgumentHelp("Write a page with tables and plots to this file.", valueName: "file"))
    var html: String?

    @Option(help: ArgumentHelp("What the outcome is called in tables.", valueName: "text"))
    var title: String?

    @Flag(help: "Fail when a target is not met.")
    var check = false

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000.") }
    }

    /// Prints the table and writes the requested files.
    func publish(_ report: Report) throws {
        var report = report
        if let title { report.title = title }
        print(TextTables.text(report))
        if let json { try ReportFile.write(report, to: json) }
        if let timelines { try ReportFile.writeWithTimelines(report, to: timelines) }
        if let html { try Data(HTMLPage.text([report]).utf8).write(to: URL(filePath: html)) }
        let missed = report.comparisons.filter { $0.isMet == false }
        guard check, !missed.isEmpty else { return }
        throw BenchError(
            missed.map { "\($0.name): \(shortNumber($0.median)) \($0.unit), and not \($0.target?.text ?? "")" }
                .joined(separator: "; "))
    }
}

/// A variant, and the function that runs it once.
struct Variant {
    var name: String
    /// A description of how it runs.
    var text: String
    /// The target for the first variant's speed relative to this one.
    var target: Comparison.Target?
    /// The warm-up is round 0.
    var run: (_ round: Int) throws -> Measurement
}

/// Runs the variants in turn: A B C, B C A, …, so that drift and order favour none.
///
/// - Parameter before: prepares each run; its time is not counted.
func interleave(
    _ variants: [Variant], rounds: Int, before: (Variant) throws -> Void = { _ in }
) throws -> [Measurement] {
    var measurements: [Measurement] = []
    for round in 0...rounds {
        for index in variants.indices {
            let variant = variants[(index + round) % variants.count]
            try before(variant)
            var measurement = try variant.run(round)
            measurement.variant = variant.name
            measurement.round = round
            measurements.append(measurement)
            note(
                "round \(round)/\(rounds) \(variant.name): \(fixed(measurement.seconds, 3)) s, "
                    + "\(shortNumber(measurement.rate)) MB/s")
        }
    }
    return measurements
}

extension Report {
    /// The result, with the first variant compared with each of the others.
    init(
        scenario: String, title: String, note: String, machine: Machine, settings: [String: String],
        variants: [Variant], measurements: [Measurement], more: [Comparison] = []
    ) {
        self.init(
            scenario: scenario, title: title, note: note, date: Date().ISO8601Format(), machine: machine,
            settings: settings, variants: variants.map { VariantDescription(name: $0.name, text: $0.text) },
            measurements: measurements,
            comparisons: variants.dropFirst().map {
                Report.speed(measurements, variants[0].name, over: $0.name, target: $0.target)
            } + more)
    }
}

/// Prints a line on standard error: progress while figures are taken.
func note(_ text: String) {
    let line = Array((text + "\n").utf8)
    unsafe line.withUnsafeBytes { unsafe writeAll($0, to: 2) }
}
