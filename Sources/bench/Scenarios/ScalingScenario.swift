import ArgumentParser
import FoundationEssentials
import StreamDisk

/// How much faster more lanes are, on processors slow enough that all of them fit into two real cores.
struct ScalingScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scaling",
        abstract: "1, 2, 4, 8, 16 lanes on as many slow processors: an image of many frames from nginx onto a device.",
        discussion: """
            The threads of each lane share a control group that may use --percent of a core. Fetching, hashing and writing \
            are not held: what they take of a processor is told beside, for it is a bound. All lanes and the rest must fit \
            into the cores there are: 16 lanes at 2.5 % take less than half of one. Takes control groups version 1.
            """)

    @Option(help: "The image, a file: of several times as many frames as lanes.")
    var image: String

    @Option(help: ArgumentHelp("How many lanes each run has at most.", valueName: "1,2,…"))
    var lanes = "1,2,4,8,16"

    @Option(help: ArgumentHelp("How much of a core the threads of a lane may use, in percent.", valueName: "percent"))
    var percent = 2.5

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    /// The speed-up wanted with that many lanes.
    private static let targets = [4: 3.6, 8: 6.5, 16: 10]

    func validate() throws {
        guard !counts.isEmpty, counts.allSatisfy({ (1...64).contains($0) }) else {
            throw ValidationError("--lanes takes numbers from 1 to 64, such as 1,4,16.")
        }
        // The kernel's smallest quota is a millisecond per period.
        guard (2...100).contains(percent) else { throw ValidationError("--percent must be 2 to 100.") }
    }

    private var counts: [Int] { lanes.split(separator: ",").map { Int($0) ?? 0 } }

    func run() throws {
        let image = try ImageLayout(image)
        let disk = try device.open(sizeBytes: image.diskBytes, blockBytes: image.blockBytes)
        let machine = Machine.current()
        let groups = try LaneGroups(lanes: counts.max() ?? 1, percent: percent)
        let url = try Nginx.start(serving: ["image.cosi": image.path], in: disk.folder) + "/image.cosi"
        note("decoding the image once with zstd, to know what must arrive")
        let expected = try image.expected()
        let path = disk.path
        let variants = counts.map { count in
            let command = RunCommand.invocation(
                "stream", [url, "--disk", path, "--lanes", "\(count)", "--interval", "0.2"])
            return Variant(name: Self.name(count), text: "this library, lanes: \(count)") { round in
                var follower: WorkerThread?
                let (output, usage) = try Child.run(command) { follower = try groups.follow($0, lanes: count) }
                follower.take()?.join()
                var measurement = try RunCommand.decoded(output)
                measurement.take(usage)
                measurement.bytes = image.decodedBytes
                measurement.figures?["lanes"] = Double(count)
                if round == 0, try image.actual(on: path) != expected {
                    throw BenchError("\(count) lanes wrote something else than the image")
                }
                return measurement
            }
        }
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in
            try Caches.reset(keeping: [image.path])
        }
        var report = Report(
            scenario: "scaling", title: "Lanes on slow processors",
            note: "Each lane's threads may use \(shortNumber(percent)) % of a core; fetch, hash and writer are not held. "
                + "Wall time of the whole process, device flushed.",
            machine: machine,
            settings: image.settings.merging(["device": disk.text, "percent of a core a lane": shortNumber(percent)]) { $1 },
            variants: variants, measurements: measurements)
        report.comparisons = comparisons(measurements)
        try measuring.publish(report)
    }

    private static func name(_ count: Int) -> String { count == 1 ? "1 lane" : "\(count) lanes" }

    private func comparisons(_ measurements: [Measurement]) -> [Comparison] {
        func perRound(_ count: Int, _ value: (Measurement) -> Double?) -> [Double] {
            Report.perRound(measurements, [Self.name(count)]) { value($0[0]) }
        }
        var comparisons = counts.dropFirst().map { count in
            Report.speed(
                measurements, Self.name(count), over: Self.name(counts[0]),
                target: counts[0] == 1 ? Self.targets[count].map { .init(atLeast: $0) } : nil)
        }
        for count in counts {
            let share = percent / 100 * Double(count)
            comparisons.append(
                Comparison(
                    name: "\(Self.name(count)): used of what they may use", unit: "%",
                    values: perRound(count) { run in run.stage("decode").map { $0.cpuSeconds / (share * run.seconds) * 100 } }))
        }
        for (stage, words) in [("fetch", "fetch and hash"), ("write", "writer")] {
            guard let most = counts.last else { continue }
            comparisons += [
                Comparison(
                    name: "\(Self.name(most)): processor time of \(words)", unit: "s",
                    values: perRound(most) { $0.stage(stage)?.cpuSeconds }),
                Comparison(
                    name: "bound by \(words), on one core: 1 lane's time over that", unit: "×",
                    values: Report.perRound(measurements, [Self.name(counts[0]), Self.name(most)]) { runs in
                        runs[1].stage(stage).map { runs[0].seconds / $0.cpuSeconds }
                    }),
            ]
        }
        return comparisons
    }
}

extension Measurement {
    func stage(_ name: String) -> Stage? { stages?.first { $0.name == name } }
}
