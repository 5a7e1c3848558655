import ArgumentParser

/// The decoder by itself, against the zstd tool.
struct DecodeScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "An image through a decode lane with no disk behind it, against 'zstd -t'.")

    @Option(help: "The image, a file.")
    var image: String

    @Option(help: ArgumentHelp("The same content in many frames, decoded by two lanes, against one frame.", valueName: "file"))
    var frames: String?

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    func run() throws {
        let image = try ImageFacts(image)
        let folder = try Workplace.makeFolder(below: device.dir)
        let machine = Machine.current()
        let parts = try image.extractParts(to: folder)
        let command = ["zstd", "--test", "--quiet", "--long=31"] + parts
        func library(_ name: String, _ path: String, lanes: Int) -> Entrant {
            Entrant(name: name, text: "file → SHA-384 → decode into slot rings, writes done at once; lanes: \(lanes)") { _ in
                let (output, usage) = try Child.run(RunCommand.invocation("decode", [path, "--lanes", "\(lanes)"]))
                var run = try RunCommand.decoded(output)
                run.take(usage)
                run.bytes = image.decodedBytes
                return run
            }
        }
        let zstd = Entrant(name: "zstd -t", text: "zstd --test --long=31, the same images") { _ in
            var run = Run(seconds: 0, bytes: image.decodedBytes)
            run.take(try Child.run(command).usage)
            return run
        }
        let entrants =
            if let frames {
                [library("frames, two lanes", frames, lanes: 2), library("one frame", image.path, lanes: 1)]
            } else {
                [library("library", image.path, lanes: 1), zstd]
            }
        let runs = try contest(entrants, rounds: contestOptions.rounds) { _ in
            try Caches.reset(keeping: [image.path] + parts + (frames.map { [$0] } ?? []))
        }
        try contestOptions.publish(
            Report(
                scenario: "decode", title: "Decoder alone",
                note: "Wall time of the whole process, from files in the page cache; rates are of decoded bytes.",
                machine: machine, settings: image.settings, entrants: entrants, runs: runs))
    }
}
