import ArgumentParser
import FoundationEssentials

/// End to end: an image from an nginx on loopback onto a device, by the library and by its rivals.
struct StreamScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Images from a local nginx onto a device, by the library and its rivals.",
        discussion: """
            A contestant is KIND or KIND:key=value,…; the first one is compared with each of the others.
              stream-disk  the library; engine=automatic|uring|pwrite, connections=N, lanes=N, memory-limit=SIZE, zeros=off
              shell        curl | tee (sha384sum) | zstd | dd
              buffered     one thread, buffered writes, sync at the end (perf/buffered.c)
              yardstick    the library's design in C (perf/yardstick.c)
            All take image=FILE (else --image), label=NAME, and at-least=X or at-most=X: the target for the first one's \
            speed over theirs. Before every run the device is filled with old bytes and the page cache dropped, but for \
            the image. After the first round the device is read back and compared with what the zstd tool decodes.
            """)

    @Option(help: "The image of those who name none.")
    var image: String

    @Option(name: .customLong("with"), help: ArgumentHelp("A contestant; repeatable.", valueName: "kind[:key=value,…]"))
    var specs: [Spec] = []

    @Option(help: ArgumentHelp("Where perf/run.sh put the compiled rivals.", valueName: "folder"))
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
            "The target for bytes written by the first contestant over non-zero bytes.", valueName: "ratio"))
    var writtenAtMost: Double?

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    func run() throws {
        let specs =
            specs.isEmpty ? ["stream-disk", "shell", "buffered", "yardstick"].compactMap { Spec(argument: $0) } : specs
        let paths = specs.map { $0["image"] ?? image }
        let images = Dictionary(
            try Set(paths).map { ($0, try ImageFacts($0)) }, uniquingKeysWith: { first, _ in first })
        let blocks = Set(images.values.map(\.blockBytes))
        guard blocks.count == 1, let blockBytes = blocks.first else {
            throw ValidationError("The images are made for different block sizes.")
        }
        let diskBytes = images.values.map(\.diskBytes).max() ?? 0
        let disk = try device.open(sizeBytes: diskBytes, blockBytes: blockBytes)
        let machine = Machine.current()

        let served = disk.folder + "/www"
        try FileManager.default.createDirectory(atPath: served, withIntermediateDirectories: true)
        let names = Dictionary(
            images.keys.sorted().enumerated().map { ($1, "image-\($0).cosi") }, uniquingKeysWith: { first, _ in first })
        for (path, name) in names {
            let whole = URL(filePath: path).standardizedFileURL.path
            try FileManager.default.createSymbolicLink(atPath: "\(served)/\(name)", withDestinationPath: whole)
        }
        let server = try Nginx.start(serving: served, state: disk.folder, limitRate: limitRate)
        let entrants = StreamEntrants(device: disk.path, folder: disk.folder, programs: programs) { image in
            "\(server)/\(names[image.path] ?? "")"
        }
        note("decoding the images once with zstd, to know what must arrive")
        let truths = try images.mapValues { try $0.truth() }

        var contestants: [Entrant] = []
        for (spec, path) in zip(specs, paths) {
            guard let image = images[path], let truth = truths[path] else { continue }
            var entrant = try entrants.entrant(spec, image: image)
            let run = entrant.run
            let diskPath = disk.path
            entrant.run = { round in
                var result = try run(round)
                result.figures?["nonZeroBytes"] = Double(truth.reduce(0) { $0 + $1.nonZeroBytes })
                if round == 0, try image.found(on: diskPath) != truth {
                    throw BenchError("\(spec.label) wrote something else than the image")
                }
                return result
            }
            contestants.append(entrant)
        }
        let cached = cold ? [] : images.keys.sorted()
        let runs = try contest(contestants, rounds: contestOptions.rounds) { _ in
            try disk.fill()
            try Caches.reset(keeping: cached)
        }

        var settings = ["device": disk.text, "caches": cold ? "dropped" : "dropped, then the image read once"]
        if let limitRate { settings["limit_rate"] = limitRate }
        for (index, image) in images.values.sorted(by: { $0.path < $1.path }).enumerated() {
            let prefix = images.count == 1 ? "" : "image \(index + 1) "
            settings.merge(image.settings.map { (prefix + $0, $1) }) { $1 }
        }
        try contestOptions.publish(
            Report(
                scenario: "stream", title: "Image from nginx onto a disk, end to end",
                note: "Wall time from the start of the first process to the end of the last, device flushed.",
                machine: machine, settings: settings, entrants: contestants, runs: runs,
                more: more(specs, runs)))
    }

    /// What else the library's own runs are measured by.
    private func more(_ specs: [Spec], _ runs: [Run]) -> [Comparison] {
        var comparisons: [Comparison] = []
        for label in specs.filter({ $0.kind == "stream-disk" }).map(\.label) {
            let besideWindow = Report.perRound(runs, [label]) { runs in
                guard let peak = runs[0].peakMemoryBytes, let window = runs[0].figures?["windowBytes"],
                    let lanes = runs[0].figures?["lanes"]
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
                    values: Report.perRound(runs, [first.label]) { $0[0].figures?["writeBeginSeconds"].map { $0 * 1000 } },
                    target: Comparison.Target(atMost: 50)))
            let written = Report.perRound(runs, [first.label]) { runs in
                guard let written = runs[0].figures?["writtenBytes"], let nonZero = runs[0].figures?["nonZeroBytes"],
                    nonZero > 0
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
