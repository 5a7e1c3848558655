import ArgumentParser
import FoundationEssentials

/// Allocations on the hot path: two images that differ in size only, and what the larger one costs more.
struct AllocationScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allocations",
        abstract: "Allocations a slot: those of a larger image's run less those of a smaller one's.",
        discussion: "Counted by perf/count-malloc.c, which is preloaded into the library's own process.")

    @Option(help: "The smaller image, a file.")
    var small: String

    @Option(help: "The larger image, a file.")
    var large: String

    @Option(help: ArgumentHelp("The compiled counter.", valueName: "file"))
    var preload = "perf/build/count-malloc.so"

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    /// What a lane hands to the writer at a time.
    private static let slotBytes = 1_048_576.0

    func run() throws {
        let images = [try ImageFacts(small), try ImageFacts(large)]
        let disk = try device.open(sizeBytes: images.map(\.diskBytes).max() ?? 0, blockBytes: images[0].blockBytes)
        let machine = Machine.current()
        let served = disk.folder + "/www"
        try FileManager.default.createDirectory(atPath: served, withIntermediateDirectories: true)
        for (name, image) in zip(["small", "large"], images) {
            try FileManager.default.createSymbolicLink(
                atPath: "\(served)/\(name).cosi",
                withDestinationPath: URL(filePath: image.path).standardizedFileURL.path)
        }
        let server = try Nginx.start(serving: served, state: disk.folder, limitRate: nil)
        let count = disk.folder + "/count"
        let environment = ["LD_PRELOAD": URL(filePath: preload).standardizedFileURL.path, "MALLOC_COUNT_FILE": count]
        let path = disk.path
        let entrants = zip(["small", "large"], images).map { name, image in
            // Progress is told seldom, for each time costs the caller an allocation or two.
            let command = RunCommand.invocation(
                "stream", ["\(server)/\(name).cosi", "--disk", path, "--interval", "1000"])
            return Entrant(name: name, text: "this library, \(sizeWords(Double(image.decodedBytes)))") { _ in
                let (output, usage) = try Child.run(command, environment: environment)
                var run = try RunCommand.decoded(output)
                run.take(usage)
                run.bytes = image.decodedBytes
                run.figures?["allocations"] = Double(try readText(count).filter(\.isNumber)) ?? 0
                return run
            }
        }
        let runs = try contest(entrants, rounds: contestOptions.rounds)
        let slots = (Double(images[1].decodedBytes) - Double(images[0].decodedBytes)) / Self.slotBytes
        func counted(_ run: Run) -> Double { run.figures?["allocations"] ?? 0 }
        var report = Report(
            scenario: "allocations", title: "Allocations on the hot path",
            note:
                "malloc, calloc, realloc and their like in the library's whole process, from an nginx onto the device.",
            machine: machine,
            settings: [
                "device": disk.text, "small": sizeWords(Double(images[0].decodedBytes)),
                "large": sizeWords(Double(images[1].decodedBytes)), "slot": "1 MiB",
            ],
            entrants: entrants, runs: runs)
        report.comparisons = [
            Comparison(
                name: "allocations of the small run", unit: "",
                values: Report.perRound(runs, ["small"]) { counted($0[0]) }),
            Comparison(
                name: "allocations a slot: (large − small) / slots between them", unit: "",
                values: Report.perRound(runs, ["small", "large"]) { (counted($0[1]) - counted($0[0])) / slots },
                target: Comparison.Target(atMost: 0.25)),
        ]
        try contestOptions.publish(report)
    }
}
