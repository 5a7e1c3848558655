import ArgumentParser
import StreamDisk

/// The options of the commands that take an image and a disk.
struct RunArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Accept only the image whose metadata.json has this hash: sha384:HEX, as 'inspect' prints it; or ignored.",
            valueName: "hash"))
    var hash = "ignored"

    @Option(
        help: ArgumentHelp(
            "Write events to this open file descriptor, one JSON object a line, as in: --events 3 3>run.jsonl", valueName: "fd"))
    var events: Int32?

    @Option(
        help: ArgumentHelp(
            "Use at most this much memory for windows and buffers, such as 512M or 1.5G. With less, fewer decoders run.",
            valueName: "size"))
    var memoryLimit: ByteCount?

    @Option(help: ArgumentHelp("How to write and read the disk.", valueName: "engine"))
    var engine: EngineName = .auto

    @Flag(name: .shortAndLong, help: "Show the whole plan and every step.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Show errors only.")
    var quiet = false

    func validate() throws {
        if let refusal = ExpectedHash.refusal(of: hash) { throw ValidationError("--hash '\(hash)' \(refusal).") }
        if let events, !EventLog.isWritable(events) {
            throw ValidationError("--events \(events): this file descriptor is not open for writing.")
        }
        if verbose && quiet { throw ValidationError("--verbose and --quiet exclude each other.") }
    }

    var options: StreamOptions {
        var options = StreamOptions()
        options.hash = ExpectedHash(hash) ?? .ignored
        options.memoryLimitBytes = memoryLimit?.bytes
        options.writeEngine = engine.engine
        return options
    }

    /// For the `start` event.
    var fields: [String: JSONValue] {
        [
            "hash": .text(hash), "engine": .text(engine.rawValue),
            "memoryLimitBytes": memoryLimit.map { .count($0.bytes) } ?? .null,
        ]
    }

    var eventLog: EventLog? { events.map { EventLog(descriptor: $0) } }

    func display(_ source: SourceArguments) -> ProgressDisplay {
        ProgressDisplay(isVerbose: verbose, isQuiet: quiet, retryTimeoutSeconds: source.retryTimeout.seconds)
    }
}

/// Refuses an empty disk path, such as from an unset variable in a script.
func expectPath(_ disk: String) throws {
    if disk.isEmpty { throw ValidationError("--disk is empty: name a disk or a file.") }
}

/// The conditions of `--select` for a disk.
func hints(of texts: [String]) throws -> [DiskHint] {
    try texts.map { text in
        guard let hint = DiskHint(text) else {
            throw ValidationError("--select '\(text)' \(DiskHint.refusal(of: text) ?? "cannot be read").")
        }
        return hint
    }
}
