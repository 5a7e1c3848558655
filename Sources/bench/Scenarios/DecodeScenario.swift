import ArgumentParser

/// The decoder alone, compared with the zstd tool.
struct DecodeScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "An image through a decode lane with no disk behind it, against 'zstd -t'.")

    @Option(help: "The image, a file.")
    var image: String

    @Option(help: ArgumentHelp("The same content in many frames, decoded by two lanes, against one frame.", valueName: "file"))
    var frames: String?

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func run() throws {
        let image = try ImageLayout(image)
        let folder = try Workspace.makeFolder(below: device.dir)
        let machine = Machine.current()
        let parts = try image.extractParts(to: folder)
        let command = ["zstd", "--test", "--quiet", "--long=31"] + parts
        func library(_ name: String, _ path: String, lanes: Int) -> Variant {
            Variant(name: name, text: "file → SHA-384 → decode into slot rings, writes done at once; lanes: \(lanes)") { _ in
                let (output, usage) = try Child.run(RunCommand.invocation("decode", [path, "--lanes", "\(lanes)"]))
                var measurement = try RunCommand.decoded(output)
                measurement.take(usage)
                measurement.bytes = image.decodedBytes
                return measurement
            }
        }
        let zstd = Variant(name: "zstd -t", text: "zstd --test --long=31, the same images") { _ in
            var measurement = Measurement(seconds: 0, bytes: image.decodedBytes)
            measurement.take(try Child.run(command).usage)
            return measurement
        }
        let variants =
            if let frames {
                [library("frames, two lanes", frames, lanes: 2), library("one frame", image.path, lanes: 1)]
            } else {
                [library("library", image.path, lanes: 1), zstd]
            }
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in
            try Caches.reset(keeping: [image.path] + parts + (frames.map { [$0] } ?? []))
        }
        try measuring.publish(
            Report(
                scenario: "decode", title: "Decoder alone",
                note: "Wall time of the whole process, from files in the page cache; rates are of decoded bytes.",
                machine: machine, settings: image.settings, variants: variants, measurements: measurements))
    }
}
