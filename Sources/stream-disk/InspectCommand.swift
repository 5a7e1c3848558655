import ArgumentParser
import CosiFormat
import CosiPack
import StreamDisk

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what an image holds, and check all but its data; or what 'pack' would make of a disk.",
        usage: "stream-disk inspect <image> [--json] [<source options>]",
        discussion: """
            Prints the hash that --hash takes. The partitions' data is checked only while streaming. Of a disk, a raw file or a virtual \
            disk it shows what an image made by 'pack' would hold.

            Exit codes:
            \(HelpText.table([
                ("\(ExitCodes.done)", "the image is valid; its partitions' data was not read"),
                ("\(ExitCodes.invalidImage)", "the image is invalid"),
                ("others", "see 'stream-disk --help'"),
            ]))
            """)

    @Argument(help: "The image: an https://, http://, oci:// or file:// URL, or a path.", completion: .file())
    var image: String

    @OptionGroup(title: "Output options") var output: Output

    @OptionGroup(title: "Source options") var source: SourceArguments

    struct Output: ParsableArguments {
        @Flag(help: "Print JSON, for programs.")
        var json = false
    }

    func run() throws {
        let path = image.hasPrefix("file:///") ? String(image.dropFirst("file://".count)) : image
        if PackSource.isDisk(path) { return try inspectAsSource(path) }
        let headers = try source.headerLines()
        let signals = SignalWatch()
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: source.retryTimeout.seconds)
        defer { display.end(nil) }
        let contents: ImageContents
        do throws(StreamError) {
            contents = try inspectImage(
                from: try source.source(image, headers: headers), cancellation: signals.cancellation,
                onEvent: { display.show($0) })
        } catch {
            display.error(error.message(.options(cancelledAs: signals.words)))
            throw ExitCode(signals.exitCode(for: error.cause))
        }
        display.finish()
        if output.json {
            try Terminal.result(contents.json.pretty, signals)
        } else {
            try Terminal.result(lines(contents, columns: Terminal.outputColumns), signals)
        }
    }

    private func inspectAsSource(_ path: String) throws {
        let signals = SignalWatch()
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        defer { display.end(nil) }
        let contents: PackContents
        do throws(PackFault) {
            contents = try inspectDisk(
                PackRequest(source: path, temporaryFolder: "/var/tmp"), cancellation: signals.cancellation,
                onEvent: { display.show($0) })
        } catch {
            display.error(error.sentence(cancelledAs: signals.words))
            throw ExitCode(error.isCancelled ? signals.exitCode(for: .cancelled) : error.code)
        }
        display.finish()
        if output.json {
            try Terminal.result(JSONValue.object(contents.fields).pretty, signals)
        } else {
            try Terminal.result(PackText.lines(contents, columns: Terminal.outputColumns), signals)
        }
    }

    private func lines(_ contents: ImageContents, columns: Int?) -> [String] {
        let metadata = contents.metadata
        var lines = [
            "image         \(contents.name)",
            "version       COSI \(metadata.version), \(metadata.osArch)",
            "os            \(contents.osName)",
            "needs         a disk of \(sizeText(metadata.disk.sizeBytes)) or more, \(metadata.disk.lbaSize)-byte blocks",
            "disk GUID     \(contents.gpt.diskGUID)",
            "images        \(shortSizeText(contents.decodedBytes)), compressed \(shortSizeText(contents.compressedBytes)) "
                + "(\(ratio(contents.compressedBytes, contents.decodedBytes)))",
            "zstd window   \(shortSizeText(contents.windowBytesMax))",
            "packages      \(metadata.osPackages.map { "\($0.count)" } ?? "not listed")",
            "bootloader    \(metadata.bootloader.type.isEmpty ? "none" : metadata.bootloader.type)",
            "hash          \(contents.hashText)", "",
        ]
        let indexed = contents.partitionRegions.filter { $0.contentIndex != nil }
        if !indexed.isEmpty {
            let frames = indexed.reduce(0) { $0 + ($1.contentIndex?.frameCount ?? 0) }
            let bytes = indexed.reduce(UInt64(0)) { $0 + $1.image.uncompressedSizeBytes }
            lines.insert(
                "frames        \(frames) in \(indexed.count) content index\(indexed.count == 1 ? "" : "es"), "
                    + "\(shortSizeText(bytes / UInt64(max(1, frames)))) each on average", at: 6)
        }
        if let id = metadata.id { lines.insert("id            \(id)", at: 2) }
        var table = Table(["part", "name", "size", "image", "compressed", "ratio", "file system", "mount point", "file"])
        for row in contents.rows {
            guard let region = row.region else {
                table.add(["\(row.partition.number)", row.partition.name, shortSizeText(row.partition.sizeBytes), "no image"])
                continue
            }
            let image = region.image
            table.add([
                "\(row.partition.number)", row.partition.name, shortSizeText(row.partition.sizeBytes),
                shortSizeText(image.uncompressedSizeBytes), shortSizeText(image.compressedSizeBytes),
                ratio(image.compressedSizeBytes, image.uncompressedSizeBytes), contentText(row),
                row.filesystem?.mountPoint ?? "-", image.path,
            ])
        }
        return lines + table.lines(columns: columns) + contents.warnings.map { "warning: \($0)" }
    }

    /// The file system and its verity, or the purpose of a partition without one.
    private func contentText(_ row: ImageContents.Row) -> String {
        if let filesystem = row.filesystem {
            guard let verity = filesystem.verity else { return filesystem.fsType }
            let place =
                verity.isInline ? "inline" : row.hashPartition.map { "in \($0.number)" } ?? "without a partition"
            return "\(filesystem.fsType), verity \(place)"
        }
        return row.hashedPartition.map { "verity of \($0.number)" } ?? "-"
    }

    private func ratio(_ compressed: UInt64, _ uncompressed: UInt64) -> String {
        guard compressed > 0 else { return "-" }
        return "\(oneDecimal(Double(uncompressed) / Double(compressed)))×"
    }
}
