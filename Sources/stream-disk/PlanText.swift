import CosiFormat
import StreamDisk

/// A plan and a result as text for people.
enum PlanText {
    static func headline(_ plan: StreamPlan) -> String {
        "\(plan.imageName) → \(plan.diskPath) (\(diskText(plan)))"
    }

    static func lines(_ plan: StreamPlan) -> [String] {
        let lines = [
            "image   \(plan.imageName)",
            "        \(plan.architecture), \(sizeText(plan.uncompressedBytes)) to write, "
                + "\(sizeText(plan.compressedBytes)) to fetch",
            "        sha384:\(hexadecimal(plan.metadataSHA384))",
            "disk    \(plan.diskPath) (\(diskText(plan)))",
            "engine  \(plan.engineName)",
        ]
        var table = Table(["part", "name", "start", "size", "image bytes", "file system", "mount point"])
        for partition in plan.partitions {
            table.add([
                "\(partition.number)", partition.name, "\(partition.offsetBytes)", shortSizeText(partition.sizeBytes),
                partition.imagePath == nil ? "left alone" : "\(partition.uncompressedBytes)", partition.fsType ?? "-",
                partition.mountPoint ?? "-",
            ])
        }
        return lines + table.lines
    }

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

    private static func diskText(_ plan: StreamPlan) -> String {
        var parts = [sizeText(plan.diskBytes), "\(plan.blockBytes)-byte blocks"]
        if plan.isRegularFile { parts.append("a regular file") }
        if let model = plan.diskModel { parts.append(model) }
        if let serial = plan.diskSerial { parts.append("serial \(serial)") }
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
