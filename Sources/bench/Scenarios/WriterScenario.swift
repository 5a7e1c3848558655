import ArgumentParser

/// The writer by itself, against fio.
struct WriterScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "writer",
        abstract: "Synthetic bytes through the library's writer, against fio's best io_uring figure.",
        discussion: """
            Without --with: the library as a run uses it, against that of fio's variants (block size 1M or 4M, depth 8 or \
            32, with and without registered buffers and file, memory in small and in huge pages) that has the best median \
            of --scan-rounds. The best with small pages runs too, to show what a fio that was not told about huge pages says.
            A contestant is KIND or KIND:key=value,…; the first one is compared with each of the others.
              library  write=1M, flight=16M (bytes in flight), engine=uring|pwrite,
                       file=on|off (registered),
                       setup=deferred|cooperative|plain|polled (polled: SQPOLL)
              fio      bs=1M, depth=32, fixed=on|off (registered buffers), file=on|off (registered),
                       poll=on (IOPOLL), sqpoll=on, huge=on|off (memory in huge pages, as the library's)
            """)

    @Option(name: .customLong("with"), help: ArgumentHelp("A contestant; repeatable.", valueName: "kind[:key=value,…]"))
    var specs: [Spec] = []

    @Option(help: ArgumentHelp("How much each run writes.", valueName: "1G"))
    var size = "1G"

    @Option(help: "How often each of fio's variants is tried to find its best.")
    var scanRounds = 3

    @OptionGroup(title: "Device options") var device: DeviceOptions
    @OptionGroup(title: "Contest options") var contestOptions: ContestOptions

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

        var entrants = try specs.map { try entrant($0, path, total) }
        var scans: [Run] = []
        if specs.isEmpty, let library = Spec(argument: "library") {
            let variants = Fio.candidates.map { fio in fioEntrant(fio, name: fio.name, path, total) }
            note("looking for fio's best")
            scans = try contest(variants, rounds: scanRounds) { _ in try Caches.reset(keeping: []) }
            func median(_ name: String) -> Double {
                Statistics(scans.filter { $0.contestant == name && $0.round > 0 }.map(\.seconds)).median
            }
            let ranked = Fio.candidates.sorted { median($0.name) < median($1.name) }
            guard let best = ranked.first, let small = ranked.first(where: { !$0.hasHugePages }) else { return }
            entrants = [
                try entrant(library, path, total),
                fioEntrant(best, name: "fio", path, total, target: .init(atLeast: 0.97)),
            ]
            settings["fio's best"] = best.name
            if best.hasHugePages {
                entrants.append(fioEntrant(small, name: "fio, small pages", path, total))
                settings["fio's best with small pages"] = small.name
            }
            for variant in variants {
                settings["tried: \(variant.name)"] = "\(shortNumber(Double(total) / median(variant.name) / 1e6)) MB/s"
            }
        }
        let runs = try contest(entrants, rounds: contestOptions.rounds) { _ in try Caches.reset(keeping: []) }
        var report = Report(
            scenario: "writer", title: "Writer alone",
            note:
                "Sequential direct writes onto blocks that were written before; no flush; clocks start with memory ready.",
            machine: machine, settings: settings, entrants: entrants, runs: runs)
        report.scans = scans.isEmpty ? nil : scans
        try contestOptions.publish(report)
    }

    private func entrant(_ spec: Spec, _ device: String, _ total: UInt64) throws -> Entrant {
        switch spec.kind {
        case "fio":
            return fioEntrant(try Fio(spec), name: spec.label, device, total, target: try spec.target())
        case "library":
            try spec.check(keys: ["write", "flight", "engine", "file", "setup"])
            var arguments = ["--disk", device, "--bytes", "\(total)"]
            if let bytes = try spec.size("write") { arguments += ["--write", "\(bytes)"] }
            if let bytes = try spec.size("flight") { arguments += ["--flight", "\(bytes)"] }
            if try spec.flag("file") == false { arguments.append("--no-file") }
            if let setup = spec["engine"] == "pwrite" ? "pwrite" : spec["setup"] { arguments += ["--setup", setup] }
            let text = "slot ring → DiskWriter → DiskQueue" + (spec.label == "library" ? "" : ": " + spec.label)
            return Entrant(name: spec.label, text: text, target: try spec.target()) { _ in
                try Run.library("write", arguments)
            }
        default:
            throw ValidationError("'\(spec.kind)' is none of: library, fio.")
        }
    }

    private func fioEntrant(
        _ fio: Fio, name: String, _ device: String, _ total: UInt64, target: Comparison.Target? = nil
    ) -> Entrant {
        Entrant(name: name, text: fio.text(totalBytes: total), target: target) { _ in
            try fio.run(device: device, totalBytes: total)
        }
    }
}

extension Run {
    /// A run of the library in a process of its own, with that process's processor time and memory and the library's clock.
    static func library(_ name: String, _ arguments: [String]) throws -> Run {
        let (output, usage) = try Child.run(RunCommand.invocation(name, arguments))
        var run = try RunCommand.decoded(output)
        let seconds = run.seconds
        run.take(usage)
        run.seconds = seconds
        return run
    }
}
