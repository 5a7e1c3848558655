import ArgumentParser
import StreamDisk

struct DisksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disks", abstract: "List the disks of this host: which are candidates, and why the others are not.",
        discussion: """
            A candidate is taken by itself when it is the smallest that fits an image; any other must be named. What is on a disk \
            is shown where it may be read, which takes root.
            """)

    @Flag(help: "As JSON, for programs.")
    var json = false

    func run() throws {
        let hosts = HostDisks()
        do throws(DiskSelectionError) {
            try hosts.expectReadable()
        } catch {
            let fault = StreamFault.disk(error)
            throw Terminal.failure("\(fault)", fault.exitCode)
        }
        let disks = hosts.list().filter { !$0.isUnbound }.map { (info: $0, contents: hosts.contents(of: $0)) }
        if json {
            try Terminal.result(JSONValue.list(disks.map { object($0.info, $0.contents) }).pretty)
            return
        }
        guard !disks.isEmpty else {
            try Terminal.result(["This host has no disks."])
            return
        }
        var table = Table(["disk", "size", "block", "model", "on it", "candidate"])
        for (disk, contents) in disks {
            let reasons = disk.obstacles.map(\.description).joined(separator: "; ")
            table.add([
                disk.path, shortSizeText(disk.sizeBytes), "\(disk.logicalBlockSize)", disk.model ?? "-",
                contents?.summary ?? "-", reasons.isEmpty ? "yes" : "no: " + reasons,
            ])
        }
        try Terminal.result(table.lines)
    }

    private func object(_ disk: DiskInfo, _ contents: DiskContents?) -> JSONValue {
        let fields: [String: JSONValue] = [
            "candidate": .flag(disk.obstacles.isEmpty), "reasons": .list(disk.obstacles.map(\.reason.value)),
            "contents": contents?.value ?? .null,
        ]
        return .object(disk.fields.adding(fields))
    }
}
