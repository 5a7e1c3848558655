import ArgumentParser
import FoundationEssentials

/// Processor time of a whole run, compared with the sum of its parts.
struct CPUScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cpu",
        abstract:
            "Processor time of a run, against zstd -t + sha384sum + what fio spends in the kernel for the same bytes.")

    @Option(help: "The image, a file.")
    var image: String

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func run() throws {
        let image = try ImageLayout(image)
        let disk = try device.open(sizeBytes: image.diskBytes, blockBytes: image.blockBytes)
        let machine = Machine.current()
        let parts = try image.extractParts(to: disk.folder)
        let url = try Nginx.start(serving: ["image.cosi": image.path], in: disk.folder) + "/image.cosi"
        let streams = StreamVariants(device: disk.path, folder: disk.folder, programs: "") { _ in url }
        guard let spec = VariantSpec(argument: "stream-disk") else { return }

        func tool(_ name: String, _ command: [String]) -> Variant {
            Variant(name: name, text: (command + ["the same images"]).joined(separator: " ")) { _ in
                var measurement = Measurement(seconds: 0, bytes: image.decodedBytes)
                measurement.take(try Child.run(command + parts).usage)
                return measurement
            }
        }
        // The cheapest way to write; otherwise the sum of the parts would be too high, and the comparison too easy.
        var fio = Fio()
        (fio.isFixed, fio.registersFile, fio.hasHugePages) = (true, true, true)
        let path = disk.path
        // fio writes whole blocks; its processor time is scaled to the image's bytes.
        let written = image.decodedBytes / UInt64(fio.blockBytes) * UInt64(fio.blockBytes)
        let variants = [
            try streams.variant(spec, image: image),
            tool("zstd -t", ["zstd", "--test", "--quiet", "--long=31"]), tool("sha384sum", ["sha384sum"]),
            tool("openssl dgst", ["openssl", "dgst", "-sha384"]),
            Variant(name: "fio", text: fio.text(totalBytes: written)) { _ in
                try fio.run(device: path, totalBytes: written)
            },
        ]
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in
            try disk.fill()
            try Caches.reset(keeping: [image.path] + parts)
        }

        func ratio(hashedBy tool: String, target: Comparison.Target?) -> Comparison {
            Comparison(
                name: "processor time: stream-disk / (zstd -t + \(tool) + fio's system time)", unit: "×",
                values: Report.perRound(measurements, ["stream-disk", "zstd -t", tool, "fio"]) { measurements in
                    guard let own = measurements[0].cpuSeconds, let decode = measurements[1].cpuSeconds,
                        let hash = measurements[2].cpuSeconds, let write = measurements[3].systemSeconds
                    else { return nil }
                    return own / (decode + hash + write)
                }, target: target)
        }
        var report = Report(
            scenario: "cpu", title: "Processor time, against the sum of the parts",
            note: "User and system time of the processes. The library also receives over HTTP, which no part does.",
            machine: machine, settings: image.settings.merging(["device": disk.text]) { $1 }, variants: variants,
            measurements: measurements)
        // Their speeds cannot be compared with each other.
        report.comparisons = [
            ratio(hashedBy: "sha384sum", target: .init(atMost: 1.10)), ratio(hashedBy: "openssl dgst", target: nil),
        ]
        try measuring.publish(report)
    }
}
