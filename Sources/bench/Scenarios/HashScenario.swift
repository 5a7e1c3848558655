import ArgumentParser

/// SHA-384 alone, compared with the tools.
struct HashScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hash", abstract: "SHA-384 of an image's compressed bytes, against 'sha384sum' and 'openssl dgst'."
    )

    @Option(help: "The image, a file.")
    var image: String

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func run() throws {
        let image = try ImageLayout(image)
        let folder = try Workspace.makeFolder(below: device.dir)
        let machine = Machine.current()
        let parts = try image.extractParts(to: folder)
        func variant(_ name: String, _ text: String, _ command: [String]) -> Variant {
            Variant(name: name, text: text) { _ in
                var measurement = Measurement(seconds: 0, bytes: image.compressedBytes)
                measurement.take(try Child.run(command + parts).usage)
                return measurement
            }
        }
        let variants = [
            variant("library", "read → SHA384 (libcrypto)", RunCommand.invocation("hash", [])),
            variant("sha384sum", "sha384sum, the same bytes", ["sha384sum"]),
            variant("openssl dgst", "openssl dgst -sha384, the same bytes", ["openssl", "dgst", "-sha384"]),
        ]
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in try Caches.reset(keeping: parts) }
        try measuring.publish(
            Report(
                scenario: "hash", title: "SHA-384 alone",
                note: "Wall time of the whole process, from files in the page cache; rates are of compressed bytes.",
                machine: machine, settings: image.settings, variants: variants, measurements: measurements))
    }
}
