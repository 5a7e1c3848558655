import ArgumentParser
import StreamDisk

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Stream an image onto a disk.",
        discussion: """
            The old partition table is removed first and the new one written last, when all data are on the disk and checked:
            a run that fails leaves no disk that looks bootable and is not.
            """)

    @Argument(help: "The image: https://…, http://…, file://… or a path.")
    var image: String

    @Option(
        help: ArgumentHelp(
            "The disk to write: a block device, or an existing regular file. Left out: the smallest disk that fits and is "
                + "not in use.", valueName: "path"))
    var disk: String?

    @Flag(help: "Do not ask before writing.")
    var yes = false

    @Flag(help: "Check everything, show the plan, write nothing.")
    var dryRun = false

    @Flag(help: "Read everything back and compare it with checksums kept while writing, before the table is written.")
    var verify = false

    @OptionGroup var common: RunArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    func run() throws {
        let signals = SignalWatch()
        let log = common.eventLog
        let display = common.display(source)
        defer { display.end(log) }
        var options = common.options
        options.isDryRun = dryRun
        options.readsBack = verify
        var isDeclined = false
        let result: StreamResult
        do throws(StreamError) {
            let image: any ImageSource
            do throws(SourceError) {
                image = try source.source(self.image)
            } catch {
                throw StreamError(cause: .source(error), phase: .preflight, disk: .untouched)
            }
            result = try streamImage(
                from: image, to: disk.map { .path($0) } ?? .smallestDisk, options: options,
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
        if dryRun {
            try Terminal.result(PlanText.lines(result.plan), signals)
        } else if !common.quiet {
            Terminal.summary([PlanText.summary(result)], until: display.patienceEnds)
        }
    }

    /// On a terminal without `--yes`, the plan is shown and a yes asked; with no terminal none is asked.
    private func approve(_ plan: StreamPlan, _ display: ProgressDisplay, _ signals: SignalWatch) -> Bool {
        guard !yes, Terminal.canAsk else { return true }
        display.lines(PlanText.lines(plan))
        return Terminal.ask(
            "Everything on \(plan.diskPath) will be lost. Write it? Type yes: ", on: display, signals.cancellation)
    }
}

extension StreamError {
    fileprivate static var declined: StreamError {
        StreamError(cause: .cancelled, phase: .preflight, disk: .untouched)
    }
}
