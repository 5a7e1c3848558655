import ArgumentParser
import CosiFormat
import CosiPack
import Glibc
import StreamDisk

struct PackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pack", abstract: "Make an image of a disk; only read the disk.",
        usage: "stream-disk pack <source> <output> [<options>]",
        discussion: """
            The source is a whole disk with a GPT: a block device that nothing writes to, a raw file, or a VHD, VHDX, qcow2 or VMDK image \
            (through qemu-img). It is opened read-only. The image has the partition table as it is and each partition's bytes; free \
            blocks of ext, FAT, XFS and btrfs file systems count as zero. What the metadata says of the system is read from the disk: \
            /etc/os-release, /etc/fstab, the package database and the boot loader; options and --metadata override it.

            The output appears whole or not at all. 'stream-disk inspect <source>' shows what an image would hold.

            Make an image of a raw disk, and show its hash:
            \(HelpText.command("stream-disk pack disk.raw os.cosi"))

            Of a disk with blocks of 4096 bytes, without its third partition:
            \(HelpText.command("stream-disk pack disk.raw os.cosi --block-size 4096 --without 3"))

            With file systems as small as their files allow, and best compression:
            \(HelpText.command("stream-disk pack disk.raw os.cosi --shrink --level 19"))

            Exit codes:
            \(HelpText.table([
                ("\(ExitCodes.done)", "the image is written and flushed; its path, hash and size are on standard output"),
                ("\(ExitCodes.usage)", "the command line is wrong, or the output exists"),
                ("\(ExitCodes.invalidImage)", "the source has no valid GPT, is cut off, or makes no valid image"),
                ("\(ExitCodes.noImage)", "there is no such source"),
                ("\(ExitCodes.unreachable)", "a program that the source's format takes is missing, or failed"),
                ("\(ExitCodes.deviceFailed)", "a read of the source failed, or the output cannot be written: no room, no such folder"),
                ("\(ExitCodes.notPermitted)", "not permitted to read the source or to write the output"),
                ("\(ExitCodes.unusableDisk)", "the source is in use and may change, was changed meanwhile, or memory is short"),
                ("others", "see 'stream-disk --help'"),
            ]))
            """)

    @Argument(help: "The disk: a block device, or a file.", completion: .file())
    var source: String

    @Argument(help: "The image to make.", completion: .file())
    var output: String

    @OptionGroup(title: "Image options") var image: PackImageArguments

    @OptionGroup(title: "Metadata options") var metadata: PackMetadataArguments

    @OptionGroup(title: "Run options") var common: PackRunArguments

    func validate() throws {
        for (name, path) in [("source", source), ("output", output)] where path.isEmpty {
            throw ValidationError("The \(name) is empty: name a file.")
        }
        guard output != "-" else {
            throw ValidationError(
                "An image cannot go to standard output: metadata.json, with the size and hash of everything, stands before the data. "
                    + "Name a file.")
        }
    }

    func run() throws {
        let overrides = try metadata.overrides()
        let signals = SignalWatch()
        let log = common.events.map { EventLog(descriptor: $0) }
        let fields: [String: JSONValue] = ["source": .text(source), "output": .text(output), "force": .flag(common.force)]
        log?.writeStart(verb: "pack", options: fields.adding(image.fields, metadata.fields))
        let display = ProgressDisplay(
            isVerbose: common.verbose, isQuiet: common.quiet, retryTimeoutSeconds: 0, work: .pack)
        defer { display.end(log) }
        var request = PackRequest(source: source, temporaryFolder: image.temporaryFolder(beside: output))
        image.apply(to: &request)
        request.overrides = overrides
        var phase = StreamPhase.preflight
        let packed: PackedImage
        do throws(PackFault) {
            packed = try packDisk(
                request, to: PackOutput(path: output, replaces: common.force), options: image.options,
                cancellation: signals.cancellation,
                onEvent: { event in
                    if case .phase(let next) = event { phase = next }
                    log?.write(packing: event)
                    tell(event, display)
                })
        } catch {
            let code = error.isCancelled ? signals.exitCode(for: .cancelled) : error.code
            let message = error.sentence(cancelledAs: signals.words)
            log?.write(error, phase: phase, code: code, message: message)
            display.error(message)
            throw ExitCode(code)
        }
        log?.write(completed: packed)
        display.finish()
        if !common.quiet { _ = Terminal.summary(PackText.summary(packed), until: display.patienceEnds) }
    }

    private func tell(_ event: PackEvent, _ display: ProgressDisplay) {
        guard !common.quiet else { return }
        if case .plan(let contents) = event {
            display.lines(
                common.verbose
                    ? PackText.lines(contents, columns: Terminal.errorColumns) : [PackText.headline(contents, output: output)])
        }
        display.show(event)
    }
}

/// How an image is made.
struct PackImageArguments: ParsableArguments {
    @Option(help: ArgumentHelp("zstd's level, 1 to 22.", valueName: "number"))
    var level = PackOptions().level

    @Option(
        help: ArgumentHelp(
            "Limit the memory that decoding takes to a window of 2^number bytes, 10 to 31. Without: what the level takes.",
            valueName: "number"))
    var windowLog: Int?

    @Option(
        help: ArgumentHelp(
            "Mean length of the frames that are compressed each for itself, a power of two from 64K to 16M. Smaller ones let more of an "
                + "old disk be used again, and compress less.", valueName: "size"))
    var frameSize = ByteCount(bytes: UInt64(PackOptions().frameBytes))

    @Flag(
        help:
            "Make ext file systems as small as their files allow, on a copy (e2fsck, resize2fs). Without, free blocks count as zero."
    )
    var shrink = false

    @Option(help: ArgumentHelp("The blocks that a file's disk has: 512 or 4096. Without: as its table shows.", valueName: "size"))
    var blockSize: Int?

    @Option(
        help: ArgumentHelp(
            "Take only these partitions, by number. A reader leaves the bytes of the others alone. Repeatable.",
            valueName: "number"))
    var partitions: [Int] = []

    @Option(help: ArgumentHelp("Leave this partition out, by number. Repeatable.", valueName: "number"))
    var without: [Int] = []

    @Option(help: ArgumentHelp("What to take of swap space: header, whole or none.", valueName: "extent"))
    var swap: ExamineOptions.Extent = .header

    @Option(help: ArgumentHelp("What to take of a partition in which nothing is found: whole or none.", valueName: "extent"))
    var unknown: ExamineOptions.Extent = .whole

    @Option(
        help: ArgumentHelp(
            "Where temporary copies go, of virtual disks and for --shrink. Without: the output's folder.", valueName: "path"),
        completion: .directory)
    var temporary: String?

    func validate() throws {
        guard PackOptions.levelRange.contains(level) else { throw ValidationError("--level must be 1 to 22.") }
        if let windowLog, !PackOptions.windowLogRange.contains(windowLog) {
            throw ValidationError("--window-log must be 10 to 31.")
        }
        guard let bytes = Int(exactly: frameSize.bytes), PackOptions.frameBytesRange.contains(bytes), bytes.nonzeroBitCount == 1
        else { throw ValidationError("--frame-size must be a power of two from 64K to 16M.") }
        if let blockSize, blockSize != 512, blockSize != 4096 { throw ValidationError("--block-size must be 512 or 4096.") }
        if !partitions.isEmpty, !without.isEmpty { throw ValidationError("--partitions and --without exclude each other.") }
        if unknown == .header { throw ValidationError("--unknown must be whole or none.") }
    }

    var options: PackOptions {
        var options = PackOptions()
        options.level = level
        options.windowLog = windowLog
        options.frameBytes = Int(frameSize.bytes)
        return options
    }

    func apply(to request: inout PackRequest) {
        request.blockBytes = blockSize
        request.examine.swap = swap
        request.examine.unknown = unknown
        request.shrinks = shrink
        request.without = Set(without)
        request.only = partitions.isEmpty ? nil : Set(partitions)
    }

    func temporaryFolder(beside output: String) -> String {
        if let temporary { return temporary }
        guard let slash = output.lastIndex(of: "/") else { return "." }
        return slash == output.startIndex ? "/" : String(output[..<slash])
    }

    /// For the `start` event.
    var fields: [String: JSONValue] {
        func numbers(_ list: [Int]) -> JSONValue { .list(list.map { .count(UInt64(max($0, 0))) }) }
        return [
            "level": .count(UInt64(level)), "windowLog": windowLog.map { .count(UInt64($0)) } ?? .null,
            "frameBytes": .count(frameSize.bytes), "shrink": .flag(shrink),
            "blockBytes": blockSize.map { .count(UInt64($0)) } ?? .null, "only": numbers(partitions), "without": numbers(without),
            "swap": .text(swap.rawValue), "unknown": .text(unknown.rawValue),
        ]
    }
}

extension ExamineOptions.Extent: ExpressibleByArgument {}

/// How a run is told.
struct PackRunArguments: ParsableArguments {
    @Flag(help: "Replace the output if there is such a file.")
    var force = false

    @Option(
        help: ArgumentHelp(
            "Write events to this open file descriptor, one JSON object a line, as in: --events 3 3>run.jsonl", valueName: "fd"))
    var events: Int32?

    @Flag(name: .shortAndLong, help: "Show the whole plan and every step.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Show errors only.")
    var quiet = false

    func validate() throws {
        if let events, !EventLog.isWritable(events) {
            throw ValidationError("--events \(events): this file descriptor is not open for writing.")
        }
        if verbose && quiet { throw ValidationError("--verbose and --quiet exclude each other.") }
    }
}
