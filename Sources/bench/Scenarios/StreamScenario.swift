import ArgumentParser
import FoundationEssentials

/// End to end: an image from nginx on loopback onto a device, with the library and with its alternatives.
struct StreamScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Images from a local nginx onto a device, by the library and its alternatives.",
        discussion: """
            A variant is KIND or KIND:key=value,…; the first one is compared with each of the others.
              stream-disk  the library; engine=automatic|uring|pwrite, connections=N, lanes=N, memory-limit=SIZE, zeros=off
              program      the stream-disk command at path=FILE, to compare revisions by
              shell        curl | tee (sha384sum) | zstd | dd
              buffered     one thread, buffered writes, sync at the end (perf/buffered.c)
              reference    the library's design in C (perf/reference.c)
            All take image=FILE (else --image), label=NAME, and at-least=X or at-most=X: the target for the first one's \
            speed over theirs. Before every run the device is filled with old bytes and the page cache dropped, but for \
            the image. After the first round the device is read back and compared with what the zstd tool decodes.
            """)

    @Option(help: "The image of those who name none.")
    var image: String

    @Option(name: .customLong("with"), help: ArgumentHelp("A variant; repeatable.", valueName: "kind[:key=value,…]"))
    var specs: [VariantSpec] = []

    @Option(help: ArgumentHelp("Where perf/run.sh put the compiled alternatives.", valueName: "folder"))
    var programs = "perf/build"

    @Option(help: ArgumentHelp("Bytes a second and connection, as nginx writes them.", valueName: "20m"))
    var limitRate: String?

    @Flag(help: "Leave the image out of the page cache too.")
    var cold = false

    @Option(
        name: .customLong("memory-beside-windows-at-most"),
        help: ArgumentHelp("The target for the library's peak memory less one window a lane.", valueName: "MiB"))
    var memoryAtMost: Double?

    @Option(
        name: .customLong("written-at-most"),
        help: ArgumentHelp(
            "The target for bytes written by the first variant over non-zero bytes.", valueName: "ratio"))
    var writtenAtMost: Double?

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func run() throws {
        let specs =
            specs.isEmpty ? ["stream-disk", "shell", "buffered", "reference"].compactMap { VariantSpec(argument: $0) } : specs
        let paths = specs.map { $0["image"] ?? image }
        let images = Dictionary(
            try Set(paths).map { ($0, try ImageLayout($0)) }, uniquingKeysWith: { first, _ in first })
        let blocks = Set(images.values.map(\.blockBytes))
        guard blocks.count == 1, let blockBytes = blocks.first else {
            throw ValidationError("The images are made for different block sizes.")
        }
        let diskBytes = images.values.map(\.diskBytes).max() ?? 0
        let disk = try device.open(sizeBytes: diskBytes, blockBytes: blockBytes)
        let machine = Machine.current()

        let names = Dictionary(
            images.keys.sorted().enumerated().map { ($1, "image-\($0).cosi") }, uniquingKeysWith: { first, _ in first })
        let files = Dictionary(uniqueKeysWithValues: names.map { ($1, $0) })
        let server = try Nginx.start(serving: files, in: disk.folder, limitRate: limitRate)
        let streams = StreamVariants(device: disk.path, folder: disk.folder, programs: programs) { image in
            "\(server)/\(names[image.path] ?? "")"
        }
        note("decoding the images once with zstd, to know what must arrive")
        let expectations = try images.mapValues { try $0.expected() }

        var variants: [Variant] = []
        for (spec, path) in zip(specs, paths) {
            guard let image = images[path], let expected = expectations[path] else { continue }
            var variant = try streams.variant(spec, image: image)
            let run = variant.run
            let diskPath = disk.path
            variant.run = { round in
                var result = try run(round)
                result.figures?["nonZeroBytes"] = Double(expected.reduce(0) { $0 + $1.nonZeroBytes })
                if round == 0, try image.actual(on: diskPath) != expected {
                    throw BenchError("\(spec.label) wrote something else than the image")
                }
                return result
            }
            variants.append(variant)
        }
        let cached = cold ? [] : images.keys.sorted()
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in
            try disk.fill()
            try Caches.reset(keeping: cached)
        }

        var settings = ["device": disk.text, "caches": cold ? "dropped" : "dropped, then the image read once"]
        if let limitRate { settings["limit_rate"] = limitRate }
        for (index, image) in images.values.sorted(by: { $0.path < $1.path }).enumerated() {
            let prefix = images.count == 1 ? "" : "image \(index + 1) "
            settings.merge(image.settings.map { (prefix + $0, $1) }) { $1 }
        }
        try measuring.publish(
            Report(
                scenario: "stream", title: "Image from nginx onto a disk, end to end",
                note: "Wall time from the start of the first process to the end of the last, device flushed.",
                machine: machine, settings: settings, variants: variants, measurements: measurements,
                more: more(specs, measurements)))
    }

    /// Further criteria for the library's own runs.
    private func more(_ specs: [VariantSpec], _ measurements: [Measurement]) -> [Comparison] {
        var comparisons: [Comparison] = []
        for label in specs.filter({ $0.kind == "stream-disk" }).map(\.label) {
            let besideWindow = Report.perRound(measurements, [label]) { measurements in
                guard let peak = measurements[0].peakMemoryBytes, let window = measurements[0].figures?["windowBytes"],
                    let lanes = measurements[0].figures?["lanes"]
                else { return nil }
                return (Double(peak) - lanes * window) / 1_048_576
            }
            comparisons.append(
                Comparison(
                    name: "\(label): peak memory − one window a lane", unit: "MiB", values: besideWindow,
                    target: memoryAtMost.map { Comparison.Target(atMost: $0) }))
        }
        if let first = specs.first, first.kind == "stream-disk" {
            comparisons.append(
                Comparison(
                    name: "\(first.label): before an image's first byte is asked for (preflight, old tables removed)",
                    unit: "ms",
                    values: Report.perRound(measurements, [first.label]) {
                        $0[0].figures?["writeBeginSeconds"].map { $0 * 1000 }
                    },
                    target: Comparison.Target(atMost: 50)))
            let written = Report.perRound(measurements, [first.label]) { measurements in
                guard let written = measurements[0].figures?["writtenBytes"],
                    let nonZero = measurements[0].figures?["nonZeroBytes"], nonZero > 0
                else { return nil }
                return written / nonZero
            }
            comparisons.append(
                Comparison(
                    name: "\(first.label): bytes written / bytes in blocks that are not zero", unit: "×",
                    values: written,
                    target: writtenAtMost.map { Comparison.Target(atMost: $0) }))
        }
        return comparisons
    }
}
