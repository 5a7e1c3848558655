import ArgumentParser
import StreamDisk

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read a disk back and compare it with an image; write nothing.",
        discussion: """
            The image is fetched, checked and decoded as for writing, and each byte compared with what the disk has: the
            partitions that have an image, LBA 0, and both partition tables as they would be placed on this disk. The disk may
            be read-only or in use; what others write to it meanwhile shows as a difference.

            Exit code 0 with one line on standard output when the disk holds the image. 74 when it does not: all of it is
            compared, and the first difference by its place on the disk is named, with partition, byte and length. 65 when the
            image itself is corrupt or not the one asked for.
            """)

    @Argument(help: "The image: https://…, http://…, file://… or a path.")
    var image: String

    @Option(help: ArgumentHelp("The disk to read: a block device, or a regular file.", valueName: "path"))
    var disk: String

    @Flag(help: "The result as JSON, for programs: whether it is equal, and where it first is not.")
    var json = false

    @OptionGroup var common: RunArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    func run() throws {
        let signals = SignalWatch()
        let log = common.eventLog
        let display = common.display(source)
        defer { display.end(log) }
        let result: StreamResult
        do throws(StreamError) {
            let image: any ImageSource
            do throws(SourceError) {
                image = try source.source(self.image)
            } catch {
                throw StreamError(cause: .source(error), phase: .preflight, disk: .untouched)
            }
            result = try verifyImage(
                from: image, onDisk: disk, options: common.options, cancellation: signals.cancellation,
                onEvent: { event in
                    log?.write(event)
                    display.show(event)
                })
            log?.write(completed: result)
        } catch {
            let code = signals.exitCode(for: error.cause)
            let message = error.description(cancelledAs: signals.words)
            log?.write(error, code: code, message: message)
            display.error(message)
            if json, case .mismatch(let mismatch) = error.cause {
                display.finish()
                let fields = mismatch.fields.merging(["equal": .flag(false)]) { _, new in new }
                try? Terminal.result(JSONValue.object(fields).line, signals)
            }
            throw ExitCode(code)
        }
        display.finish()
        if json {
            try Terminal.result(JSONValue.object(["equal": .flag(true)]).line, signals)
        } else if !common.quiet {
            try Terminal.result([PlanText.comparison(result)], signals)
        }
    }
}
