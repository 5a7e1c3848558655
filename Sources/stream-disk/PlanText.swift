import CosiFormat
import StreamDisk

/// A plan and a result as text for people.
enum PlanText {
    static func headline(_ plan: StreamPlan) -> String {
        "\(plan.imageName) → \(plan.diskPath) (\(diskText(plan)))"
    }

    static func lines(_ plan: StreamPlan) -> [String] {
        var lines = [
            "image   \(plan.imageName)",
            "        \(plan.architecture), \(sizeText(plan.uncompressedBytes)) to write, "
                + "\(sizeText(plan.compressedBytes)) to fetch",
            "        sha384:\(hexadecimal(plan.metadataSHA384))",
            "        " + (plan.isHashCompared ? "the hash is the one given" : "no hash was given to compare it with"),
            "disk    \(diskName(plan)) (\(diskText(plan)))",
        ]
        lines += choice(plan)
        if let contents = plan.contents { lines += lost(contents) }
        lines.append("engine  \(plan.engineName)")
        var table = Table(["part", "name", "start", "size", "image bytes", "file system", "mount point"])
        for partition in plan.partitions {
            table.add([
                "\(partition.number)", partition.name, "\(partition.offsetBytes)", shortSizeText(partition.sizeBytes),
                partition.imagePath == nil ? "left alone" : "\(partition.uncompressedBytes)", partition.fsType ?? "-",
                partition.mountPoint ?? "-",
            ])
        }
        return lines + ["to be written:"] + table.lines
    }

    /// Why this disk, and why no other.
    private static func choice(_ plan: StreamPlan) -> [String] {
        guard !plan.consideredDisks.isEmpty else { return [] }
        let others = plan.consideredDisks.filter { !plan.isChosen($0) }
        var lines = ["chosen  the smallest disk that fits and that nothing uses"]
        for other in others.prefix(linesMax) {
            lines.append("        not \(other.disk.path): \(plan.reasons(against: other).map(\.message).joined(separator: "; "))")
        }
        if others.count > linesMax { lines.append("        nor \(others.count - linesMax) more: see 'stream-disk disks'") }
        return lines
    }

    /// What is on the disk now.
    private static func lost(_ contents: DiskContents) -> [String] {
        if contents.isUnknown { return ["on it   no known content"] }
        var lines: [String] = []
        if let signature = contents.signature { lines.append(signature.text) }
        if let type = contents.tableType {
            let count = contents.partitionCount
            let protective = type == "PMBR" ? "a protective MBR without a partition table behind it" : nil
            lines.append(protective ?? "a \(type) partition table with \(count) partition\(count == 1 ? "" : "s")")
        }
        for partition in contents.partitions.prefix(linesMax) {
            let name = partition.name.map { " '\($0)'" } ?? ""
            lines.append(
                "\(partition.number)\(name), \(shortSizeText(partition.sizeBytes)): "
                    + (partition.signature?.text ?? "no known content"))
        }
        let more = contents.partitionCount - min(contents.partitions.count, linesMax)
        if more > 0 { lines.append("and \(more) more") }
        return lines.enumerated().map { ($0 == 0 ? "on it   " : "        ") + $1 }
    }

    /// Disks or partitions that are named one by one; of more, their number.
    private static let linesMax = 16

    static func summary(_ result: StreamResult) -> String {
        let seconds = max(result.elapsedSeconds, 0.001)
        let rate = UInt64(Double(result.decodedBytes) / seconds)
        return "\(result.plan.diskPath): \(shortSizeText(result.decodedBytes)) in \(oneDecimal(seconds)) s "
            + "(\(shortSizeText(rate))/s), \(result.isHashCompared ? "verified" : "written")"
            + "\(result.verifiedBytes > 0 ? ", flushed and read back" : " and flushed"), \(hashText(result))"
    }

    /// A hash that nobody gave was compared with nothing.
    private static func hashText(_ result: StreamResult) -> String {
        "sha384:\(hexadecimal(result.plan.metadataSHA384))"
            + (result.isHashCompared ? "" : " (of its metadata; no --hash was given to compare it with)")
    }

    static func comparison(_ result: StreamResult) -> String {
        let seconds = max(result.elapsedSeconds, 0.001)
        let rate = UInt64(Double(result.verifiedBytes) / seconds)
        return "\(result.plan.diskPath) holds the image: \(shortSizeText(result.verifiedBytes)) and its partition tables "
            + "compared in \(oneDecimal(seconds)) s (\(shortSizeText(rate))/s), \(hashText(result))"
    }

    /// The path, and where it leads when it is a link.
    static func diskName(_ plan: StreamPlan) -> String {
        let (path, end) = (plan.diskPath, plan.resolvedDiskPath)
        // A relative path that only became absolute is no link.
        let isPlain = path == end || (!path.hasPrefix("/") && path.split(separator: "/").last == end.split(separator: "/").last)
        return isPlain ? path : "\(path) -> \(end)"
    }

    private static func diskText(_ plan: StreamPlan) -> String {
        var parts = [sizeText(plan.diskBytes), "\(plan.blockBytes)-byte blocks"]
        parts += plan.diskInfo?.names ?? ["a regular file"]
        return parts.joined(separator: ", ")
    }
}

/// Columns as wide as their widest cell. Cells are escaped before they are measured.
struct Table {
    private var rows: [[String]]

    init(_ header: [String]) { rows = [header] }

    mutating func add(_ row: [String]) { rows.append(row.map { printable($0) }) }

    var lines: [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += column + 1 == row.count ? cell : cell + String(repeating: " ", count: widths[column] + 2 - cell.count)
            }
            return line
        }
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
