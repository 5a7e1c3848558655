import ArgumentParser

/// SHA-384 by itself, against the tools.
struct HashScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hash", abstract: "SHA-384 of an image's compressed bytes, against 'sha384sum' and 'openssl dgst'."
    )

    @Option(help: "The image, a file.")
    var image: String

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

    func run() throws {
        let image = try ImageFacts(image)
        let folder = try Workplace.makeFolder(below: device.dir)
        let machine = Machine.current()
        let parts = try image.extractParts(to: folder)
        func entrant(_ name: String, _ text: String, _ command: [String]) -> Entrant {
            Entrant(name: name, text: text) { _ in
                var run = Run(seconds: 0, bytes: image.compressedBytes)
                run.take(try Child.run(command + parts).usage)
                return run
            }
        }
        let entrants = [
            entrant("library", "read → SHA384 (libcrypto)", RunCommand.invocation("hash", [])),
            entrant("sha384sum", "sha384sum, the same bytes", ["sha384sum"]),
            entrant("openssl dgst", "openssl dgst -sha384, the same bytes", ["openssl", "dgst", "-sha384"]),
        ]
        let runs = try contest(entrants, rounds: contestOptions.rounds) { _ in try Caches.reset(keeping: parts) }
        try contestOptions.publish(
            Report(
                scenario: "hash", title: "SHA-384 alone",
                note: "Wall time of the whole process, from files in the page cache; rates are of compressed bytes.",
                machine: machine, settings: image.settings, entrants: entrants, runs: runs))
    }
}
