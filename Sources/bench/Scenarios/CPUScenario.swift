import ArgumentParser
import FoundationEssentials

/// Processor time of a whole run, against the sum of its parts.
struct CPUScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cpu",
        abstract:
            "Processor time of a run, against zstd -t + sha384sum + what fio spends in the kernel for the same bytes.")

    @Option(help: "The image, a file.")
    var image: String

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    func run() throws {
        let image = try ImageFacts(image)
        let disk = try device.open(sizeBytes: image.diskBytes, blockBytes: image.blockBytes)
        let machine = Machine.current()
        let parts = try image.extractParts(to: disk.folder)
        let served = disk.folder + "/www"
        try FileManager.default.createDirectory(atPath: served, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: served + "/image.cosi", withDestinationPath: URL(filePath: image.path).standardizedFileURL.path)
        let server = try Nginx.start(serving: served, state: disk.folder, limitRate: nil)
        let url = server + "/image.cosi"
        let streams = StreamEntrants(device: disk.path, folder: disk.folder, programs: "") { _ in url }
        guard let spec = Spec(argument: "stream-disk") else { return }

        func tool(_ name: String, _ command: [String]) -> Entrant {
            Entrant(name: name, text: (command + ["the same images"]).joined(separator: " ")) { _ in
                var run = Run(seconds: 0, bytes: image.decodedBytes)
                run.take(try Child.run(command + parts).usage)
                return run
            }
        }
        // Its cheapest way to write, or the sum of the parts would be flattered.
        var fio = Fio()
        (fio.isFixed, fio.registersFile, fio.hasHugePages) = (true, true, true)
        let path = disk.path
        // fio writes whole blocks; what it spends is scaled to the image's bytes.
        let written = image.decodedBytes / UInt64(fio.blockBytes) * UInt64(fio.blockBytes)
        let entrants = [
            try streams.entrant(spec, image: image),
            tool("zstd -t", ["zstd", "--test", "--quiet", "--long=31"]), tool("sha384sum", ["sha384sum"]),
            tool("openssl dgst", ["openssl", "dgst", "-sha384"]),
            Entrant(name: "fio", text: fio.text(totalBytes: written)) { _ in
                try fio.run(device: path, totalBytes: written)
            },
        ]
        let runs = try contest(entrants, rounds: contestOptions.rounds) { _ in
            try disk.fill()
            try Caches.reset(keeping: [image.path] + parts)
        }

        func ratio(hashedBy tool: String, target: Comparison.Target?) -> Comparison {
            Comparison(
                name: "processor time: stream-disk / (zstd -t + \(tool) + fio's system time)", unit: "×",
                values: Report.perRound(runs, ["stream-disk", "zstd -t", tool, "fio"]) { runs in
                    guard let own = runs[0].cpuSeconds, let decode = runs[1].cpuSeconds, let hash = runs[2].cpuSeconds,
                        let write = runs[3].systemSeconds
                    else { return nil }
                    return own / (decode + hash + write)
                }, target: target)
        }
        var report = Report(
            scenario: "cpu", title: "Processor time, against the sum of the parts",
            note: "User and system time of the processes. The library also receives over HTTP, which no part does.",
            machine: machine, settings: image.settings.merging(["device": disk.text]) { $1 }, entrants: entrants,
            runs: runs)
        // Their speeds say nothing about each other.
        report.comparisons = [
            ratio(hashedBy: "sha384sum", target: .init(atMost: 1.10)), ratio(hashedBy: "openssl dgst", target: nil),
        ]
        try contestOptions.publish(report)
    }
}
