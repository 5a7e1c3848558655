import ArgumentParser

/// The writer alone, compared with fio.
struct WriterScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "writer",
        abstract: "Synthetic bytes through the library's writer, against fio's best io_uring figure.",
        discussion: """
            Without --with: the library as a run uses it, against that of fio's variants (block size 1M or 4M, depth 8 or \
            32, with and without registered buffers and file, memory in small and in huge pages) that has the best median \
            of --scan-rounds. The best with small pages runs too, to show what a fio that was not told about huge pages says.
            A variant is KIND or KIND:key=value,…; the first one is compared with each of the others.
              library  write=1M, flight=16M (bytes in flight), file=on|off (registered),
                       setup=deferred|cooperative|plain|polled|pwrite (polled: SQPOLL)
              fio      bs=1M, depth=32, fixed=on|off (registered buffers), file=on|off (registered),
                       poll=on (IOPOLL), sqpoll=on, huge=on|off (memory in huge pages, as the library's)
            """)

    @Option(name: .customLong("with"), help: ArgumentHelp("A variant; repeatable.", valueName: "kind[:key=value,…]"))
    var specs: [VariantSpec] = []

    @Option(help: ArgumentHelp("How much each run writes.", valueName: "1G"))
    var size = "1G"

    @Option(help: "How often each of fio's variants is tried to find its best.")
    var scanRounds = 3

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Measuring options") var measuring: MeasurementOptions

    func validate() throws {
        guard let bytes = sizeBytes(size), bytes % (4 << 20) == 0 else {
            throw ValidationError("--size must be a multiple of 4M.")
        }
        guard scanRounds > 0 else { throw ValidationError("--scan-rounds must be above 0.") }
    }

    func run() throws {
        let total = UInt64(sizeBytes(size) ?? 0)
        let disk = try device.open(sizeBytes: total)
        let path = disk.path
        let machine = Machine.current()
        var settings = ["device": disk.text, "bytes a run": sizeWords(Double(total))]
        try disk.fill()

        var variants = try specs.map { try variant($0, path, total) }
        var scans: [Measurement] = []
        if specs.isEmpty, let library = VariantSpec(argument: "library") {
            let candidates = Fio.candidates.map { fio in fioVariant(fio, name: fio.name, path, total) }
            note("looking for fio's best")
            scans = try interleave(candidates, rounds: scanRounds) { _ in try Caches.reset(keeping: []) }
            func median(_ name: String) -> Double {
                Statistics(scans.filter { $0.variant == name && $0.round > 0 }.map(\.seconds)).median
            }
            let ranked = Fio.candidates.sorted { median($0.name) < median($1.name) }
            guard let best = ranked.first, let small = ranked.first(where: { !$0.hasHugePages }) else { return }
            variants = [
                try variant(library, path, total),
                fioVariant(best, name: "fio", path, total, target: .init(atLeast: 0.97)),
            ]
            settings["fio's best"] = best.name
            if best.hasHugePages {
                variants.append(fioVariant(small, name: "fio, small pages", path, total))
                settings["fio's best with small pages"] = small.name
            }
            for candidate in candidates {
                settings["tried: \(candidate.name)"] = "\(shortNumber(Double(total) / median(candidate.name) / 1e6)) MB/s"
            }
        }
        let measurements = try interleave(variants, rounds: measuring.rounds) { _ in try Caches.reset(keeping: []) }
        var report = Report(
            scenario: "writer", title: "Writer alone",
            note:
                "Sequential direct writes onto blocks that were written before; no flush; clocks start with memory ready.",
            machine: machine, settings: settings, variants: variants, measurements: measurements)
        report.scans = scans.isEmpty ? nil : scans
        try measuring.publish(report)
    }

    private func variant(_ spec: VariantSpec, _ device: String, _ total: UInt64) throws -> Variant {
        switch spec.kind {
        case "fio":
            return fioVariant(try Fio(spec), name: spec.label, device, total, target: try spec.target())
        case "library":
            try spec.check(keys: ["write", "flight", "file", "setup"])
            var arguments = ["--disk", device, "--bytes", "\(total)"]
            if let bytes = try spec.size("write") { arguments += ["--write", "\(bytes)"] }
            if let bytes = try spec.size("flight") { arguments += ["--flight", "\(bytes)"] }
            if try spec.flag("file") == false { arguments.append("--no-file") }
            if let engine = try spec.choice("setup", ProbeEngine.self) { arguments += ["--setup", engine.rawValue] }
            let text = "slot ring → DiskWriter → DiskQueue" + (spec.label == "library" ? "" : ": " + spec.label)
            return Variant(name: spec.label, text: text, target: try spec.target()) { _ in
                try Measurement.library("write", arguments)
            }
        default:
            throw ValidationError("'\(spec.kind)' is none of: library, fio.")
        }
    }

    private func fioVariant(
        _ fio: Fio, name: String, _ device: String, _ total: UInt64, target: Comparison.Target? = nil
    ) -> Variant {
        Variant(name: name, text: fio.text(totalBytes: total), target: target) { _ in
            try fio.run(device: device, totalBytes: total)
        }
    }
}

extension Measurement {
    /// A run of the library in a process of its own: that process's processor time and memory, and the library's own clock.
    static func library(_ name: String, _ arguments: [String]) throws -> Measurement {
        let (output, usage) = try Child.run(RunCommand.invocation(name, arguments))
        var measurement = try RunCommand.decoded(output)
        let seconds = measurement.seconds
        measurement.take(usage)
        measurement.seconds = seconds
        return measurement
    }
}
