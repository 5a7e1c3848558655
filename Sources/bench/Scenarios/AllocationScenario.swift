import ArgumentParser
import FoundationEssentials

/// Allocations on the hot path: two images that differ only in size, and how many more the larger one takes.
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

    @Option(help: ArgumentHelp("What the outcome is held against.", valueName: "file"))
    var ceilings = "perf/ceilings.json"

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    /// The bytes that a lane hands to the writer at a time.
    private static let slotBytes = 1_048_576.0

    func run() throws {
        let ceilings = try Ceilings(ceilings)
        let images = [try ImageLayout(small), try ImageLayout(large)]
        let disk = try device.open(sizeBytes: images.map(\.diskBytes).max() ?? 0, blockBytes: images[0].blockBytes)
        let machine = Machine.current()
        let server = try Nginx.start(
            serving: ["small.cosi": images[0].path, "large.cosi": images[1].path], in: disk.folder)
        let count = disk.folder + "/count"
        let environment = ["LD_PRELOAD": URL(filePath: preload).standardizedFileURL.path, "MALLOC_COUNT_FILE": count]
        let path = disk.path
        let variants = zip(["small", "large"], images).map { name, image in
            // Progress events are rare here, because each one costs the caller an allocation or two.
            let command = RunCommand.invocation(
                "stream", ["\(server)/\(name).cosi", "--disk", path, "--interval", "1000"])
            return Variant(name: name, text: "this library, \(sizeWords(Double(image.decodedBytes)))") { _ in
                let (output, usage) = try Child.run(command, environment: environment)
                var measurement = try RunCommand.decoded(output)
                measurement.take(usage)
                measurement.bytes = image.decodedBytes
                measurement.figures?["allocations"] = Double(try readText(count).filter(\.isNumber)) ?? 0
                return measurement
            }
        }
        let measurements = try interleave(variants, rounds: measuring.rounds)
        let slots = (Double(images[1].decodedBytes) - Double(images[0].decodedBytes)) / Self.slotBytes
        func counted(_ measurement: Measurement) -> Double { measurement.figures?["allocations"] ?? 0 }
        var report = Report(
            scenario: "allocations", title: "Allocations on the hot path",
            note:
                "malloc, calloc, realloc and their like in the library's whole process, from an nginx onto the device.",
            machine: machine,
            settings: [
                "device": disk.text, "small": sizeWords(Double(images[0].decodedBytes)),
                "large": sizeWords(Double(images[1].decodedBytes)), "slot": "1 MiB",
            ],
            variants: variants, measurements: measurements)
        report.comparisons = [
            Comparison(
                name: "allocations of the small run", unit: "",
                values: Report.perRound(measurements, ["small"]) { counted($0[0]) }),
            Comparison(
                name: "allocations a slot: (large − small) / slots between them", unit: "",
                values: Report.perRound(measurements, ["small", "large"]) { (counted($0[1]) - counted($0[0])) / slots },
                target: Comparison.Target(atMost: ceilings.allocationsPerSlot)),
        ]
        try measuring.publish(report)
    }
}
