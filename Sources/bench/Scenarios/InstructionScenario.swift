import ArgumentParser
import FoundationEssentials

/// The instructions of one run of a fixed input under callgrind: they show a regression that noise in times would hide.
struct InstructionScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "instructions", abstract: "Instructions of one run of a fixed image under callgrind.",
        discussion: """
            From a file onto a file with the pwrite engine: callgrind runs one thread at a time and does not know \
            io_uring's shared rings. Counts of different compilers, processors or libraries do not compare.
            """)

    @Option(help: "The image, a file that is always the same.")
    var image: String

    @Option(help: ArgumentHelp("What the outcome is held against.", valueName: "file"))
    var ceilings = "perf/ceilings.json"

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func run() throws {
        let image = try ImageLayout(image)
        let ceilings = try Ceilings(ceilings)
        let folder = try Workspace.makeFolder(below: device.dir)
        let machine = Machine.current()
        try Child.run(["truncate", "--size", "\(image.diskBytes)", folder + "/disk"])
        let own = RunCommand.invocation(
            "stream", [image.path, "--disk", folder + "/disk", "--engine", "pwrite", "--interval", "1000"])
        let outcome = folder + "/callgrind.out"
        let options = ["--callgrind-out-file=\(outcome)", "--compress-strings=no", "--compress-pos=no"]
        let variant = Variant(
            name: "stream-disk", text: "valgrind --tool=callgrind … bench run stream IMAGE --disk FILE --engine pwrite"
        ) { _ in
            let (output, usage) = try Child.run(["valgrind", "--quiet", "--tool=callgrind"] + options + own)
            var measurement = try RunCommand.decoded(output)
            measurement.take(usage)
            measurement.bytes = image.decodedBytes
            measurement.timeline = nil
            measurement.stages = nil
            let counts = Callgrind.counts(try readText(outcome))
            measurement.figures = [
                "instructions": Double(counts.values.reduce(0, +)),
                "ownInstructions": Double(counts[fileName(own[0])] ?? 0),
            ]
            return measurement
        }
        let measurements = try interleave([variant], rounds: measuring.rounds)
        let ceiling = ceilings.instructions[Child.firstLine(["uname", "-m"]) ?? ""]
        func comparison(_ name: String, _ figure: String, atMost: Double?) -> Comparison {
            Comparison(
                name: name, unit: "million",
                values: Report.perRound(measurements, [variant.name]) { $0[0].figures?[figure].map { $0 / 1e6 } },
                target: atMost.map { .init(atMost: $0 / 1e6) })
        }
        var report = Report(
            scenario: "instructions", title: "Instructions of one run under callgrind",
            note:
                "A fixed image from a file onto a file, pwrite engine. The decoder and the hash are the libraries' share.",
            machine: machine, settings: image.settings, variants: [variant], measurements: measurements)
        report.comparisons = [
            comparison("all instructions", "instructions", atMost: ceiling?.all),
            comparison(
                "instructions of the program itself, Swift's runtime included", "ownInstructions", atMost: ceiling?.own),
        ]
        try measuring.publish(report)
    }
}

/// The parts of callgrind's profile format needed to sum it (valgrind.org, "Callgrind Format Specification").
enum Callgrind {
    /// Instructions by object file; the names are without folders.
    static func counts(_ text: String) -> [String: UInt64] {
        var counts: [String: UInt64] = [:]
        var object = ""
        var isCall = false
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            guard let first = line.first else { continue }
            if line.starts(with: "ob=".utf8) {
                object = fileName(String(Substring(line.dropFirst(3))))
            } else if line.starts(with: "calls=".utf8) {
                // The next line is the callee's cost, which is counted with the callee.
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
