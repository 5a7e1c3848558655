import CosiFormat
import CosiPack
import StreamDisk

/// What is packed and what was packed, as text for people.
enum PackText {
    static func headline(_ contents: PackContents, output: String) -> String {
        let count = contents.partitions.count { $0.content != nil }
        return "packing \(contents.source) into \(output): \(count) partition\(count == 1 ? "" : "s"), "
            + "\(shortSizeText(contents.imageBytes)), \(shortSizeText(contents.dataBytes)) of it data"
    }

    /// - Parameter columns: the reader's; nil where nobody counts them.
    static func lines(_ contents: PackContents, columns: Int? = nil) -> [String] {
        let system = contents.system
        let format = contents.virtualFormat.map { ", \($0)" } ?? ""
        var table = Table(["part", "name", "size", "image", "data", "holds", "mount point"])
        for partition in contents.partitions {
            let entry = partition.entry
            table.add([
                "\(entry.number)", entry.name, shortSizeText(entry.sizeBytes),
                partition.content.map { shortSizeText($0.sizeBytes) } ?? "left out",
                partition.dataBytes.map { shortSizeText($0) } ?? "-", holds(partition), partition.filesystem?.mountPoint ?? "-",
            ])
        }
        return [
            "disk          \(contents.source): \(sizeText(contents.diskBytes)), \(contents.blockBytes)-byte blocks\(format)",
            "disk GUID     \(contents.diskGUID)",
            "os            \(contents.osName), \(system.osArch.rawValue)",
            "packages      \(system.osPackages.count)",
            "bootloader    \(system.bootloader.type)",
            "an image has  \(shortSizeText(contents.imageBytes)), \(shortSizeText(contents.dataBytes)) of it data", "",
        ] + table.lines(columns: columns)
    }

    private static func holds(_ partition: PackContents.Partition) -> String {
        guard let filesystem = partition.filesystem else { return partition.signature?.text ?? "nothing known" }
        return filesystem.fsType + (filesystem.verity.map { ", verity in \($0.hashNumber)" } ?? "")
    }

    static func summary(_ packed: PackedImage) -> [String] {
        let result = packed.result
        let seconds = max(result.elapsedSeconds, 0.001)
        let ratio = Double(packed.contents.imageBytes) / Double(max(result.fileBytes, 1))
        return [
            "\(packed.path): \(shortSizeText(result.fileBytes)) for \(shortSizeText(packed.contents.imageBytes)) "
                + "(\(oneDecimal(ratio))×), \(result.frameCount) frames, in \(oneDecimal(seconds)) s "
                + "(\(shortSizeText(UInt64(Double(result.readBytes) / seconds)))/s)",
            packed.hashText,
        ]
    }
}
