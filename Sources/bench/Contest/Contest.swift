import ArgumentParser
import FoundationEssentials

/// How often, and where the outcome goes; the same for every scenario.
struct ContestOptions: ParsableArguments {
    @Option(help: "Counted rounds, after one that is not counted. Every contestant runs once a round.")
    var rounds = 5

    @Option(help: ArgumentHelp("Write every single figure to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Write a page with tables and plots to this file.", valueName: "file"))
    var html: String?

    @Option(help: ArgumentHelp("What the outcome is called in tables.", valueName: "text"))
    var title: String?

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000.") }
    }

    /// Prints the table and writes the files asked for.
    func publish(_ report: Report) throws {
        var report = report
        if let title { report.title = title }
        print(TextTables.text(report))
        if let json { try ReportFile.write(report, to: json) }
        if let html { try Data(HTMLPage.text([report]).utf8).write(to: URL(filePath: html)) }
    }
}

/// A contestant and how it is run once.
struct Entrant {
    var name: String
    /// How, in words.
    var text: String
    /// What the first contestant's speed over this one's should be.
    var target: Comparison.Target?
    /// The warm-up is round 0.
    var run: (_ round: Int) throws -> Run
}

/// Runs contestants in turn: A B C, B C A, …, so that neither drift nor order favours one.
func contest(_ entrants: [Entrant], rounds: Int, before: (Entrant) throws -> Void = { _ in }) throws -> [Run] {
    var runs: [Run] = []
    for round in 0...rounds {
        for index in entrants.indices {
            let entrant = entrants[(index + round) % entrants.count]
            try before(entrant)
            var run = try entrant.run(round)
            run.contestant = entrant.name
            run.round = round
            runs.append(run)
            note("round \(round)/\(rounds) \(entrant.name): \(fixed(run.seconds, 3)) s, \(shortNumber(run.rate)) MB/s")
        }
    }
    return runs
}

extension Report {
    /// The outcome of a contest, the first entrant compared with each of the others.
    init(
        scenario: String, title: String, note: String, machine: Machine, settings: [String: String],
        entrants: [Entrant], runs: [Run], more: [Comparison] = []
    ) {
        self.init(
            scenario: scenario, title: title, note: note, date: Date().ISO8601Format(), machine: machine,
            settings: settings, contestants: entrants.map { Contestant(name: $0.name, text: $0.text) }, runs: runs,
            comparisons: entrants.dropFirst().map {
                Report.speed(runs, entrants[0].name, over: $0.name, target: $0.target)
            } + more)
    }
}

/// A line on standard error: what goes on while figures are taken.
func note(_ text: String) {
    let line = Array((text + "\n").utf8)
    unsafe line.withUnsafeBytes { unsafe writeAll($0, to: 2) }
}
