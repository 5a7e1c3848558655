import ArgumentParser
import StreamDisk

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Stream an image onto a disk.",
        usage: "stream-disk [stream] <image> [--disk <path>] [--hash <hash>] [<options>]",
        discussion: """
            The old partition table is removed first and the new one written last, when all data are on the disk and checked: \
            a run that fails leaves no disk that looks bootable and is not.
            """)

    @Argument(help: "The image: an https://, http:// or file:// URL, or a path.")
    var image: String

    @OptionGroup(title: "Disk options") var target: Target

    @OptionGroup(title: "Run options") var common: RunArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    /// What is written, and after which questions.
    struct Target: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "The disk to write: a block device, or an existing regular file. Left out: the smallest disk that fits and is "
                    + "not in use.", valueName: "path"))
        var disk: String?

        @Flag(help: "Do not ask before writing. Needed where there is no terminal to ask on.")
        var yes = false

        @Flag(help: "Check everything, show the plan, write nothing.")
        var dryRun = false

        @Flag(help: "Read everything back and compare it with checksums kept while writing, before the table is written.")
        var verify = false

        /// For the `start` event.
        var fields: [String: JSONValue] {
            ["disk": .optional(disk), "yes": .flag(yes), "dryRun": .flag(dryRun), "verify": .flag(verify)]
        }
    }

    func run() throws {
        // Here and not in `validate`, which comes before the argument parser's own complaints.
        guard target.yes || target.dryRun || Terminal.canAsk else {
            throw ValidationError(
                "There is no terminal to ask on before the disk is written: add --yes to write it without a question, or "
                    + "--dry-run to see the plan.")
        }
        let headers = try source.headerLines()
        let signals = SignalWatch()
        let log = common.eventLog
        let fields: [String: JSONValue] = ["image": .text(withoutSecrets(image))]
        log?.writeStart(verb: "stream", options: fields.adding(target.fields, common.fields, source.fields))
        let display = common.display(source)
        defer { display.end(log) }
        var options = common.options
        options.isDryRun = target.dryRun
        options.readsBack = target.verify
        var isDeclined = false
        let result: StreamResult
        do throws(StreamError) {
            let image: any ImageSource
            do throws(SourceError) {
                image = try source.source(self.image, headers: headers)
            } catch {
                throw StreamError(cause: .source(error), phase: .preflight, disk: .untouched)
            }
            result = try streamImage(
                from: image, to: target.disk.map { .path($0) } ?? .smallestDisk, options: options,
                cancellation: signals.cancellation,
                approve: { plan in
                    isDeclined = !approve(plan, display, signals)
                    return !isDeclined
                },
                onEvent: { event in
                    log?.write(event)
                    display.show(event)
                })
            // A no is an interruption by the one who was asked.
            if isDeclined { throw .declined }
            log?.write(completed: result)
        } catch {
            let code = signals.exitCode(for: error.cause)
            let message = error.description(
                cancelledAs: isDeclined && signals.received == nil ? "not confirmed; type yes" : signals.words)
            log?.write(error, code: code, message: message)
            display.error(message)
            throw ExitCode(code)
        }
        display.finish()
        // The disk is written, whether or not someone reads of it; a plan is only good when it was read.
        if target.dryRun {
            try Terminal.result(PlanText.lines(result.plan), signals)
        } else if !common.quiet {
            Terminal.summary([PlanText.summary(result)], until: display.patienceEnds)
        }
    }

    /// Without `--yes`, the plan is shown and a yes asked.
    private func approve(_ plan: StreamPlan, _ display: ProgressDisplay, _ signals: SignalWatch) -> Bool {
        guard !target.yes else { return true }
        display.lines(PlanText.lines(plan))
        return Terminal.ask(
            "Everything on \(PlanText.diskName(plan)) will be lost. Write it? Type yes: ", on: display, signals.cancellation)
    }
}

extension StreamError {
    fileprivate static var declined: StreamError {
        StreamError(cause: .cancelled, phase: .preflight, disk: .untouched)
    }
}
