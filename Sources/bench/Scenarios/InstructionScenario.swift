import ArgumentParser
import FoundationEssentials

/// Instructions of one run of a fixed input under callgrind: the alarm that noise cannot hide.
struct InstructionScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "instructions", abstract: "Instructions of one run of a fixed image under callgrind.",
        discussion: """
            From a file onto a file with the pwrite engine: callgrind runs one thread at a time and does not know \
            io_uring's shared rings. Counts of different compilers, processors or libraries do not compare.
            """)

    @Option(help: "The image, a file that is always the same.")
    var image: String

    @Option(help: ArgumentHelp("An earlier outcome (--json) to compare with.", valueName: "file"))
    var baseline: String?

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    func run() throws {
        let image = try ImageFacts(image)
        let before = try baseline.map { try ReportFile.read($0) }
        let folder = try Workplace.makeFolder(below: device.dir)
        let machine = Machine.current()
        try Child.run(["truncate", "--size", "\(image.diskBytes)", folder + "/disk"])
        let own = RunCommand.invocation(
            "stream", [image.path, "--disk", folder + "/disk", "--engine", "pwrite", "--interval", "1000"])
        let outcome = folder + "/callgrind.out"
        let options = ["--callgrind-out-file=\(outcome)", "--compress-strings=no", "--compress-pos=no"]
        let entrant = Entrant(
            name: "stream-disk", text: "valgrind --tool=callgrind … bench run stream IMAGE --disk FILE --engine pwrite"
        ) { _ in
            let (output, usage) = try Child.run(["valgrind", "--quiet", "--tool=callgrind"] + options + own)
            var run = try RunCommand.decoded(output)
            run.take(usage)
            run.bytes = image.decodedBytes
            run.timeline = nil
            run.stages = nil
            let counts = Callgrind.counts(try readText(outcome))
            run.figures = [
                "instructions": Double(counts.values.reduce(0, +)),
                "ownInstructions": Double(counts[fileName(own[0])] ?? 0),
            ]
            return run
        }
        let runs = try contest([entrant], rounds: contestOptions.rounds)
        func values(_ runs: [Run], _ figure: String) -> [Double] {
            runs.filter { $0.round > 0 }.compactMap { $0.figures?[figure] }
        }
        var comparisons: [Comparison] = []
        for (figure, name, drift) in [
            ("instructions", "all instructions", 0.01),
            ("ownInstructions", "instructions of the program itself, Swift's runtime included", 0.05),
        ] {
            let counts = values(runs, figure)
            comparisons.append(Comparison(name: name, unit: "million", values: counts.map { $0 / 1e6 }))
            guard let before else { continue }
            let reference = Statistics(values(before.runs, figure)).median
            guard reference > 0 else { continue }
            comparisons.append(
                Comparison(
                    name: name + ", against \(before.machine.revision)", unit: "×",
                    values: counts.map { $0 / reference },
                    target: .init(atLeast: 1 - drift, atMost: 1 + drift)))
        }
        var report = Report(
            scenario: "instructions", title: "Instructions of one run under callgrind",
            note:
                "A fixed image from a file onto a file, pwrite engine. The decoder and the hash are the libraries' share.",
            machine: machine, settings: image.settings, entrants: [entrant], runs: runs)
        report.comparisons = comparisons
        try contestOptions.publish(report)
    }
}

/// callgrind's profile format (valgrind.org, "Callgrind Format Specification"), as far as it takes to sum it.
enum Callgrind {
    /// Instructions per object file, by its name without folders.
    static func counts(_ text: String) -> [String: UInt64] {
        var counts: [String: UInt64] = [:]
        var object = ""
        var isCall = false
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            guard let first = line.first else { continue }
            if line.starts(with: "ob=".utf8) {
                object = fileName(String(Substring(line.dropFirst(3))))
            } else if line.starts(with: "calls=".utf8) {
                // The next line is what the callee cost, which is counted with the callee.
                isCall = true
            } else if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) || "+-*".utf8.contains(first) {
                if isCall {
                    isCall = false
                    continue
                }
                let cost = line.split(separator: UInt8(ascii: " ")).last.flatMap { UInt64(Substring($0)) }
                counts[object, default: 0] += cost ?? 0
            }
        }
        return counts
    }
}
