import CosiFormat
import StreamDisk

/// A plan and a result as text for a person.
enum PlanText {
    /// The operation that the plan is for.
    enum Goal { case write, compare }

    static func headline(_ plan: StreamPlan, for goal: Goal = .write) -> String {
        if !plan.regions.isEmpty {
            let parts = plan.regions.map { "partition \($0.partition.number) '\($0.partition.name)' to \(name($0.target))" }
            return "writing from \(plan.imageName): \(parts.joined(separator: ", "))"
        }
        let disk = "\(diskName(plan)) (\((names(plan) + [shortSizeText(plan.diskBytes)]).joined(separator: ", ")))"
        return goal == .write ? "writing \(plan.imageName) to \(disk)" : "comparing \(disk) with \(plan.imageName)"
    }

    /// - Parameter columns: the width of the terminal; nil if there is none.
    static func lines(_ plan: StreamPlan, for goal: Goal = .write, columns: Int? = nil) -> [String] {
        if !plan.regions.isEmpty { return regionLines(plan, columns: columns) }
        var sections = [
            ("image", image(plan, for: goal)),
            ("disk", [diskName(plan), facts(plan)]),
            ("chosen", choice(plan)),
        ]
        if goal == .write { sections.append(("lost", lost(plan.contents))) }
        sections.append((goal == .write ? "new" : "wanted", ["a gpt partition table with \(count(plan.partitions.count)):"]))
        let room = columns.map { $0 - labelColumns }
        var lines = paragraphs(sections, room)
        lines += labelled("", table(plan).lines(columns: room))
        return lines + labelled("engine", [plan.engineName])
    }

    private static func paragraphs(_ sections: [(String, [String])], _ room: Int?) -> [String] {
        sections.flatMap { label, texts in
            labelled(label, texts.flatMap { text in room.map { wrapped(text, to: $0) } ?? [text] })
        }
    }

    /// The plan of a run onto single regions: what is written where, and what is there now.
    private static func regionLines(_ plan: StreamPlan, columns: Int?) -> [String] {
        let room = columns.map { $0 - labelColumns }
        var table = Table(["part", "name", "image", "file system", "mount point", "onto", "of"])
        for region in plan.regions {
            let partition = region.partition
            table.add([
                "\(partition.number)", partition.name, shortSizeText(partition.decodedBytes), partition.fsType ?? "-",
                partition.mountPoint ?? "-", name(region.target), shortSizeText(region.target.sizeBytes),
            ])
        }
        let now = plan.regions.flatMap { region in
            lost(region.target.contents, isDisk: false).enumerated().map {
                $0.offset == 0 ? "\(region.target.path): \($0.element)" : $0.element
            }
        }
        let holdsTable = plan.regions.contains { $0.target.overwrittenTable != nil }
        let stays = "what lies behind an image stays, and so do all" + (holdsTable ? " other" : "") + " partition tables"
        return paragraphs([("image", image(plan, for: .write))], room) + labelled("new", table.lines(columns: room))
            + paragraphs([("lost", now + [stays])], room)
            + labelled("engine", [plan.engineName])
    }

    private static let labelColumns = 8

    /// Puts the label on the first line only.
    private static func labelled(_ label: String, _ lines: [String]) -> [String] {
        lines.enumerated().map { index, line in
            let label = index == 0 ? label : ""
            return label + String(repeating: " ", count: labelColumns - label.count) + line
        }
    }

    private static func image(_ plan: StreamPlan, for goal: Goal) -> [String] {
        [
            plan.imageName,
            "for \(plan.architecture); \(shortSizeText(plan.compressedBytes)) to fetch, \(shortSizeText(plan.decodedBytes)) "
                + (goal == .write ? "to write" : "to compare"),
            plan.hashText,
            plan.isHashCompared
                ? "this is the hash given with --hash" : "this hash was compared with nothing: no --hash was given",
        ]
    }

    private static func table(_ plan: StreamPlan) -> Table {
        var table = Table(["part", "name", "start", "size", "image", "file system", "mount point"])
        for partition in plan.partitions {
            table.add([
                "\(partition.number)", partition.name, shortSizeText(partition.offsetBytes), shortSizeText(partition.sizeBytes),
                partition.imagePath == nil ? "left alone" : shortSizeText(partition.decodedBytes), partition.fsType ?? "-",
                partition.mountPoint ?? "-",
            ])
        }
        return table
    }

    /// Why this disk was chosen, and why the others were not; empty if it was named.
    private static func choice(_ plan: StreamPlan) -> [String] {
        guard !plan.consideredDisks.isEmpty else { return [] }
        let others = plan.consideredDisks.filter { !plan.isChosen($0) }
        let asked = plan.hints.isEmpty ? "" : " that is \(plan.hints.text),"
        var lines = ["the smallest disk\(asked) that fits and that nothing uses"]
        for other in others.prefix(linesMax) {
            lines.append("not \(other.disk.path): \(plan.reasons(against: other).map(\.message).joined(separator: "; "))")
        }
        if others.count > linesMax { lines.append("nor \(others.count - linesMax) more: see 'stream-disk disks'") }
        return lines
    }

    /// What the disk contains now.
    private static func lost(_ contents: DiskContents?, isDisk: Bool = true) -> [String] {
        guard let contents else { return ["what is on it, which could not be read"] }
        if contents.isUnknown { return ["no known content: no partition table and no file system was found"] }
        var lines: [String] = []
        if let signature = contents.signature { lines.append(signature.text + (isDisk ? " on the whole disk" : "")) }
        if let type = contents.tableType {
            let protective = type == "PMBR" ? "a protective MBR without a partition table behind it" : nil
            let end = contents.partitions.isEmpty ? "" : ":"
            lines.append(protective ?? "a \(type) partition table with \(count(contents.partitionCount))\(end)")
        }
        for partition in contents.partitions.prefix(linesMax) {
            let name = partition.name.map { " '\($0)'" } ?? ""
            lines.append(
                "\(partition.number)\(name), \(shortSizeText(partition.sizeBytes)): "
                    + (partition.signature?.text ?? "no known content"))
        }
        let more = contents.partitionCount - min(contents.partitions.count, linesMax)
        if more > 0 { lines.append("and \(more) more") }
        return lines
    }

    private static func count(_ partitions: Int) -> String { "\(partitions) partition\(partitions == 1 ? "" : "s")" }

    /// Names a few disks or partitions one by one; counts them if there are more.
    private static let linesMax = 16

    static func summary(_ result: StreamResult) -> String {
        let steps = result.verifiedBytes > 0 ? "written, flushed and read back" : "written and flushed"
        let bytes = result.plan.decodedBytes
        return "\(result.plan.diskPath): \(shortSizeText(bytes)) \(steps) in \(time(result, of: bytes)); "
            + "\(reused(result))\(hashText(result))"
    }

    /// What was already there, and what that saved; empty if nothing was.
    private static func reused(_ result: StreamResult) -> String {
        guard result.reusedBytes > 0 else { return "" }
        return
            "\(shortSizeText(result.reusedBytes)) of it were already there, \(shortSizeText(result.fetchedBytes)) fetched instead "
            + "of \(shortSizeText(result.plan.compressedBytes)); "
    }

    static func comparison(_ result: StreamResult) -> String {
        "\(result.plan.diskPath) holds the image: \(shortSizeText(result.verifiedBytes)) and both partition tables compared in "
            + "\(time(result, of: result.verifiedBytes)); \(hashText(result))"
    }

    private static func time(_ result: StreamResult, of bytes: UInt64) -> String {
        let seconds = max(result.elapsedSeconds, 0.001)
        return "\(oneDecimal(seconds)) s (\(shortSizeText(UInt64(Double(bytes) / seconds)))/s)"
    }

    /// Without a hash on the command line, the metadata's hash was not compared.
    private static func hashText(_ result: StreamResult) -> String {
        (result.isHashCompared ? "hash verified: " : "hash not compared (no --hash given): ")
            + result.plan.hashText
    }

    /// The path, and its target if it is a link.
    static func diskName(_ plan: StreamPlan) -> String {
        if !plan.regions.isEmpty { return plan.regions.map { name($0.target) }.joined(separator: ", ") }
        return name(plan.diskPath, leadingTo: plan.resolvedDiskPath)
    }

    private static func name(_ target: StreamPlan.Target) -> String { name(target.path, leadingTo: target.resolvedPath) }

    private static func name(_ path: String, leadingTo end: String) -> String {
        // A relative path that only became absolute is not a link.
        let isPlain = path == end || (!path.hasPrefix("/") && path.split(separator: "/").last == end.split(separator: "/").last)
        return isPlain ? path : "\(path) -> \(end)"
    }

    private static func names(_ plan: StreamPlan) -> [String] { plan.diskInfo?.names ?? ["a regular file"] }

    private static func facts(_ plan: StreamPlan) -> String {
        (names(plan) + [sizeText(plan.diskBytes), "\(plan.blockBytes)-byte blocks"]).joined(separator: ", ")
    }
}
