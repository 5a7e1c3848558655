import ArgumentParser
import CosiFormat
import StreamDisk

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what an image holds, and check all but its data.",
        usage: "stream-disk inspect <image> [--json] [<source options>]",
        discussion: "Prints the hash that --hash takes. The partitions' data is checked only while streaming.")

    @Argument(help: "The image: an https://, http:// or file:// URL, or a path.")
    var image: String

    @OptionGroup(title: "Output options") var output: Output

    @OptionGroup(title: "Source options") var source: SourceArguments

    struct Output: ParsableArguments {
        @Flag(help: "Print JSON, for programs.")
        var json = false
    }

    func run() throws {
        let headers = try source.headerLines()
        let signals = SignalWatch()
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: source.retryTimeout.seconds)
        defer { display.end(nil) }
        let contents: ImageContents
        do throws(StreamFault) {
            let image: any ImageSource
            do throws(SourceError) {
                image = try source.source(self.image, headers: headers)
            } catch {
                throw .source(error)
            }
            defer { image.close() }
            let observer = SourceObserver(cancellation: signals.cancellation) { display.show(.retry($0)) }
            contents = try inspectImage(image, observer: observer)
        } catch {
            display.error(error.description(cancelledAs: signals.words))
            throw ExitCode(signals.exitCode(for: error))
        }
        display.finish()
        if output.json {
            try Terminal.result(object(contents).pretty, signals)
        } else {
            try Terminal.result(lines(contents, columns: Terminal.outputColumns), signals)
        }
    }

    private func lines(_ contents: ImageContents, columns: Int?) -> [String] {
        let metadata = contents.metadata
        var lines = [
            "image         \(contents.name)",
            "version       COSI \(metadata.version), \(metadata.osArch)",
            "os            \(osName(metadata))",
            "needs         a disk of \(sizeText(metadata.disk.sizeBytes)) or more, \(metadata.disk.lbaSize)-byte blocks",
            "disk GUID     \(contents.gpt.diskGUID)",
            "images        \(shortSizeText(contents.uncompressedBytes)), compressed \(shortSizeText(contents.compressedBytes)) "
                + "(\(ratio(contents.compressedBytes, contents.uncompressedBytes)))",
            "zstd window   \(shortSizeText(contents.windowBytesMax))",
            "packages      \(metadata.osPackages.map { "\($0.count)" } ?? "not listed")",
            "bootloader    \(metadata.bootloader.type.isEmpty ? "none" : metadata.bootloader.type)",
            "hash          sha384:\(hexadecimal(contents.metadataSHA384))", "",
        ]
        if let id = metadata.id { lines.insert("id            \(id)", at: 2) }
        var table = Table(["part", "name", "size", "image", "compressed", "ratio", "file system", "mount point", "file"])
        for row in rows(contents) {
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

    private struct Row {
        let partition: GPTPartition
        let region: CosiMetadata.Region?
        let filesystem: CosiMetadata.Filesystem?
        /// Whose dm-verity hash tree this partition holds; nil where that lies behind the file system itself.
        let hashedPartition: GPTPartition?
        /// The partition that holds the file system's hash tree: its own when that lies behind it; nil where none does.
        let hashPartition: GPTPartition?
    }

    /// In the order of the disk.
    private func rows(_ contents: ImageContents) -> [Row] {
        let filesystems = contents.metadata.images
        func place(of image: CosiMetadata.ImageFile?) -> GPTPartition? {
            contents.partitionRegions.first { $0.image.path == image?.path }.flatMap(contents.partition)
        }
        return contents.gpt.partitions.sorted { $0.firstLBA < $1.firstLBA }.map { partition in
            let region = contents.partitionRegions.first { contents.partition(of: $0)?.number == partition.number }
            let filesystem = filesystems.first { $0.image.path == region?.image.path }
            let hashed = filesystems.first { $0.verity?.isInline == false && $0.verity?.image.path == region?.image.path }
            return Row(
                partition: partition, region: region, filesystem: filesystem,
                hashedPartition: place(of: hashed?.image), hashPartition: place(of: filesystem?.verity?.image))
        }
    }

    /// The file system and its verity, or what else the partition is there for.
    private func contentText(_ row: Row) -> String {
        if let filesystem = row.filesystem {
            guard let verity = filesystem.verity else { return filesystem.fsType }
            let place =
                verity.isInline ? "inline" : row.hashPartition.map { "in \($0.number)" } ?? "without a partition"
            return "\(filesystem.fsType), verity \(place)"
        }
        return row.hashedPartition.map { "verity of \($0.number)" } ?? "-"
    }

    private func verityObject(_ row: Row) -> JSONValue {
        guard let verity = row.filesystem?.verity else { return .null }
        return .object([
            "rootHash": .text(verity.rootHash), "image": .text(verity.image.path), "inline": .flag(verity.isInline),
            "partition": row.hashPartition.map { .count(UInt64($0.number)) } ?? .null,
            "hashOffset": verity.hashOffset.map { .count($0) } ?? .null,
        ])
    }

    private func object(_ contents: ImageContents) -> JSONValue {
        let metadata = contents.metadata
        return .object([
            "image": .text(contents.name), "version": .text(metadata.version.description),
            "arch": .text(metadata.osArch.description), "os": .text(osName(metadata)),
            "id": .optional(metadata.id),
            "hash": .text("sha384:" + hexadecimal(contents.metadataSHA384)),
            "diskSizeBytes": .count(metadata.disk.sizeBytes), "blockBytes": .count(UInt64(metadata.disk.lbaSize)),
            "diskGUID": .text(contents.gpt.diskGUID.description), "windowBytes": .count(contents.windowBytesMax),
            "compressedBytes": .count(contents.compressedBytes), "imageBytes": .count(contents.uncompressedBytes),
            "bootloader": .text(metadata.bootloader.type),
            "packageCount": metadata.osPackages.map { .count(UInt64($0.count)) } ?? .null,
            "warnings": .list(contents.warnings.map { .text($0.description) }),
            "partitions": .list(
                rows(contents).map { row in
                    let image = row.region?.image
                    return .object([
                        "number": .count(UInt64(row.partition.number)), "name": .text(row.partition.name),
                        "typeGUID": .text(row.partition.typeGUID.description),
                        "uniqueGUID": .text(row.partition.uniqueGUID.description),
                        "firstLBA": .count(row.partition.firstLBA), "lastLBA": .count(row.partition.lastLBA),
                        "offsetBytes": .count(row.partition.offsetBytes), "sizeBytes": .count(row.partition.sizeBytes),
                        "imagePath": .optional(image?.path),
                        "compressedBytes": image.map { .count($0.compressedSizeBytes) } ?? .null,
                        "imageBytes": image.map { .count($0.uncompressedSizeBytes) } ?? .null,
                        "fsType": .optional(row.filesystem?.fsType),
                        "mountPoint": .optional(row.filesystem?.mountPoint),
                        "verity": verityObject(row),
                    ])
                }),
        ])
    }

    /// PRETTY_NAME of the image's os-release(5), or its NAME.
    private func osName(_ metadata: CosiMetadata) -> String {
        for key in ["PRETTY_NAME=", "NAME="] {
            for line in metadata.osRelease.split(whereSeparator: \.isNewline) where line.hasPrefix(key) {
                let value = line.dropFirst(key.count)
                let quotes: Set<Character> = ["\"", "'"]
                guard let first = value.first, quotes.contains(first), value.count >= 2, value.last == first else {
                    return String(value)
                }
                return String(value.dropFirst().dropLast())
            }
        }
        return "not named"
    }

    private func ratio(_ compressed: UInt64, _ uncompressed: UInt64) -> String {
        guard compressed > 0 else { return "-" }
        return "\(oneDecimal(Double(uncompressed) / Double(compressed)))×"
    }
}
