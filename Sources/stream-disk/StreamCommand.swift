import ArgumentParser
import StreamDisk

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Write an image to a disk.",
        usage: """
            stream-disk [stream] <image> [--disk <path>] [--hash <hash>] [<options>]
            stream-disk [stream] <image> --partition <ref=path> … [<options>]
            """,
        discussion: """
            Removes the old partition table first, and writes the new one last, when all data is on the disk and checked. \
            So a run that fails never leaves a disk that looks bootable and is not. With --partition no table is removed or \
            written: use what a run wrote only after exit code 0.
            """)

    @Argument(help: "The image: an https://, http://, oci:// or file:// URL, or a path.", completion: .file())
    var image: String

    @OptionGroup(title: "Disk options") var target: Target

    @OptionGroup(title: "Run options") var common: RunArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    /// What to write, and whether to ask first.
    struct Target: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "Write to this block device or existing regular file. Without --disk: the smallest disk that fits and is not in "
                    + "use.", valueName: "path"), completion: .file())
        var disk: String?

        @Option(
            help: ArgumentHelp(
                "Write one partition's image instead of a disk, as an A/B update does. REF is its number, name or mount point in the "
                    + "image; PATH an unused partition (its disk may be in use), a block device without partitions, or a file. The "
                    + "image begins at PATH's first byte; no partition table is touched. Repeatable.",
                valueName: "ref=path"))
        var partition: [PartitionArgument] = []

        @Option(
            help: ArgumentHelp(
                "Choose by what is known of the disk: the smallest that fits among those with this serial, wwn, model, vendor, "
                    + "name, by_path, rotational (true or false) or size, as in --select vendor=ATA --select 'size>=500G'. Without "
                    + "a letter sizes are in GiB. Repeatable: all must be met.", valueName: "key=value"))
        var select: [String] = []

        @Option(
            help: ArgumentHelp(
                "Take what the image has in common with this disk, partition or file from there instead of fetching it, wherever it "
                    + "lies: the other slot of an A/B pair, or a disk with an older version. It is only read. Takes an image with a "
                    + "content index, as pack makes it. Repeatable.", valueName: "path"), completion: .file())
        var seed: [String] = []

        @Option(
            help: ArgumentHelp(
                "Compare the disk's old content with the image's content index, and neither fetch nor write what is there: auto, "
                    + "if a few samples of an image are there; always; or never. Without an index, or from a server without ranges, "
                    + "everything is fetched.", valueName: "mode"))
        var reuse: ReuseMode = .auto

        @Flag(help: "Write without asking. Required when there is no terminal to ask on.")
        var yes = false

        @Flag(help: "Check the image's metadata and the disk, show the plan, and write nothing.")
        var dryRun = false

        @Flag(
            help: ArgumentHelp(
                "Read all written data back and compare it, before the new partition table is written. With --partition: before "
                    + "the run ends."))
        var verify = false

        func validate() throws {
            if let disk { try expectPath(disk) }
            _ = try hints(of: select)
            if seed.contains("") { throw ValidationError("--seed is empty: name a disk or a file.") }
            if disk != nil, !select.isEmpty { throw ValidationError("--select and --disk exclude each other.") }
            if !partition.isEmpty, disk != nil || !select.isEmpty {
                throw ValidationError(
                    "--\(disk != nil ? "disk" : "select") and --partition exclude each other: --partition names its own target.")
            }
        }

        func resolved() throws -> StreamTarget {
            if let disk { return .path(disk) }
            return .smallestDisk(matching: try hints(of: select))
        }

        /// For the `start` event.
        var fields: [String: JSONValue] {
            [
                "disk": .optional(disk), "select": .list(select.map { .text($0) }),
                "partitions": .list(partition.map(\.json)), "yes": .flag(yes), "dryRun": .flag(dryRun),
                "verify": .flag(verify), "reuse": .text(reuse.rawValue), "seeds": .list(seed.map { .text($0) }),
            ]
        }
    }

    func run() throws {
        // Here and not in `validate`, whose errors would come before the argument parser's own.
        guard target.yes || target.dryRun || Terminal.canAsk else {
            throw ArgumentFault(
                code: ExitCodes.usage,
                message: "There is no terminal to ask on before the disk is written: add --yes to write without a question, or "
                    + "--dry-run to see the plan.")
        }
        let headers = try source.headerLines()
        let disk = try target.resolved()
        let signals = SignalWatch()
        let log = common.eventLog
        let fields: [String: JSONValue] = ["image": .text(imageName(image))]
        log?.writeStart(verb: "stream", options: fields.adding(target.fields, common.fields, source.fields))
        let display = common.display(source)
        defer { display.end(log) }
        var options = common.options
        options.isDryRun = target.dryRun
        options.readsBack = target.verify
        options.seeds = target.seed
        options.reuse = target.reuse
        var isDeclined = false
        let regions = target.partition.map(\.region)
        func isApproved(_ plan: StreamPlan) -> Bool {
            isDeclined = !approve(plan, display, signals)
            return !isDeclined
        }
        func tellEvent(_ event: StreamEvent) {
            log?.write(event)
            if case .plan(let plan) = event { tell(plan, display) }
            display.show(event)
        }
        let result: StreamResult
        do throws(StreamError) {
            if regions.isEmpty {
                result = try streamImage(
                    from: try source.source(image, headers: headers), to: disk,
                    options: options, cancellation: signals.cancellation, approve: isApproved, onEvent: tellEvent)
            } else {
                result = try streamRegions(
                    from: try source.source(image, headers: headers), to: regions, options: options,
                    cancellation: signals.cancellation, approve: isApproved, onEvent: tellEvent)
            }
            // An answer of no counts as an interruption by the user.
            if isDeclined { throw .declined }
            log?.write(completed: result)
        } catch {
            let code = signals.exitCode(for: error.cause)
            let message = error.message(
                .options(cancelledAs: isDeclined && signals.received == nil ? "not confirmed; type yes" : signals.words))
            log?.write(error, code: code, message: message)
            display.error(message)
            throw ExitCode(code)
        }
        display.finish()
        // The disk is written even if nobody reads the result; a plan is useful only if it was read.
        if target.dryRun {
            let lines = PlanText.lines(result.plan, columns: Terminal.outputColumns)
            try Terminal.result(lines + ["dry run: nothing was written"], signals)
        } else if !common.quiet {
            let failure = Terminal.summary([PlanText.summary(result)], until: display.patienceEnds)
            if let failure { display.line("warning: \(failure); the image is on the disk") }
        }
    }

    /// Shows the plan without asking. For a dry run the plan is the result.
    private func tell(_ plan: StreamPlan, _ display: ProgressDisplay) {
        guard target.yes, !target.dryRun, !common.quiet else { return }
        display.lines(common.verbose ? PlanText.lines(plan, columns: Terminal.errorColumns) : [PlanText.headline(plan)])
    }

    /// Without `--yes`: shows the plan and asks for confirmation.
    private func approve(_ plan: StreamPlan, _ display: ProgressDisplay, _ signals: SignalWatch) -> Bool {
        guard !target.yes else { return true }
        display.lines(PlanText.lines(plan, columns: Terminal.errorColumns))
        return Terminal.ask(
            plan.regions.isEmpty
                ? "Everything on \(PlanText.diskName(plan)) will be lost. Write the image? Type yes: "
                : "What is on \(PlanText.diskName(plan)) will be overwritten from its first byte on. Write? Type yes: ",
            on: display, signals.cancellation)
    }
}

extension StreamError {
    fileprivate static var declined: StreamError {
        StreamError(cause: .cancelled, phase: .preflight, disk: .untouched)
    }
}

/// `REF=PATH`, split at the first `=`. A partition whose name contains `=` is given by its number.
struct PartitionArgument: ExpressibleByArgument {
    let region: RegionTarget

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[1].isEmpty, let partition = PartitionReference(parts[0]) else { return nil }
        region = RegionTarget(partition: partition, path: parts[1])
    }

    /// For the `start` event.
    var json: JSONValue { .text("\(region.partition)=\(region.path)") }
}
