import ArgumentParser
import StreamDisk

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Compare a disk with an image; write nothing.",
        usage: "stream-disk verify <image> --disk <path> [--hash <hash>] [<options>]",
        discussion: """
            Fetches, checks and decodes the image as for writing, and compares each byte with the disk: the partitions that \
            have an image, LBA 0, and both partition tables as they would be placed on this disk. The disk may be read-only or in \
            use; what others write to it meanwhile shows as a difference.

            Exit codes:
            \(HelpText.table([
                ("\(ExitCodes.done)", "the disk holds the image; one line on standard output says so"),
                (
                    "\(ExitCodes.deviceFailed)",
                    "the disk does not hold it, or a read failed. All of it is compared; the error names the first difference on "
                        + "the disk by partition, byte and length"
                ),
                ("\(ExitCodes.invalidImage)", "the image itself is corrupt, or not the one asked for"),
                ("others", "see 'stream-disk --help'"),
            ]))
            """)

    @Argument(help: "The image: an https://, http://, oci:// or file:// URL, or a path.", completion: .file())
    var image: String

    @OptionGroup(title: "Disk options") var target: Target

    @OptionGroup(title: "Run options") var common: RunArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    /// What to read, and how to report it.
    struct Target: ParsableArguments {
        @Option(help: ArgumentHelp("Read this block device or regular file.", valueName: "path"), completion: .file())
        var disk: String

        @Flag(help: "Print the result as JSON, for programs: whether they are equal, and where they first differ.")
        var json = false

        func validate() throws { try expectPath(disk) }
    }

    func run() throws {
        let headers = try source.headerLines()
        let signals = SignalWatch()
        let log = common.eventLog
        let fields: [String: JSONValue] = ["image": .text(imageName(image)), "disk": .text(target.disk)]
        log?.writeStart(verb: "verify", options: fields.adding(common.fields, source.fields))
        let display = common.display(source)
        defer { display.end(log) }
        let result: StreamResult
        do throws(StreamError) {
            result = try verifyImage(
                from: try source.source(image, headers: headers), onDisk: target.disk, options: common.options,
                cancellation: signals.cancellation,
                onEvent: { event in
                    log?.write(event)
                    if case .plan(let plan) = event, !common.quiet {
                        display.lines(
                            common.verbose
                                ? PlanText.lines(plan, for: .compare, columns: Terminal.errorColumns)
                                : [PlanText.headline(plan, for: .compare)])
                    }
                    display.show(event)
                })
            log?.write(completed: result)
        } catch {
            let code = signals.exitCode(for: error.cause)
            let message = error.message(.options(cancelledAs: signals.words))
            log?.write(error, code: code, message: message)
            display.error(message)
            if target.json, case .mismatch(let mismatch) = error.cause {
                display.finish()
                let fields = mismatch.fields.merging(["equal": .flag(false)]) { _, new in new }
                try? Terminal.result(JSONValue.object(fields).line + "\n", signals)
            }
            throw ExitCode(code)
        }
        display.finish()
        if target.json {
            try Terminal.result(JSONValue.object(["equal": .flag(true)]).line + "\n", signals)
        } else if !common.quiet {
            try Terminal.result([PlanText.comparison(result)], signals)
        }
    }
}
