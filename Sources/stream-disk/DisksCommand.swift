import ArgumentParser
import StreamDisk

struct DisksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disks", abstract: "List the disks of this host: which are candidates, and why the others are not.",
        discussion: "A candidate is taken by itself when it is the smallest that fits an image; any other must be named.")

    @Flag(help: "As JSON, for programs.")
    var json = false

    func run() throws {
        let hosts = HostDisks()
        do throws(DiskError) {
            try hosts.expectReadable()
        } catch {
            let fault = StreamFault.disk(error)
            throw Terminal.failure("\(fault)", fault.exitCode)
        }
        let disks = hosts.list().filter { !$0.isUnbound }
        if json {
            try Terminal.result(JSONValue.list(disks.map(object)).pretty)
            return
        }
        guard !disks.isEmpty else {
            try Terminal.result(["This host has no disks."])
            return
        }
        var table = Table(["disk", "size", "block", "model", "candidate"])
        for disk in disks {
            let reasons = disk.obstacles.map(\.description).joined(separator: "; ")
            table.add([
                disk.path, shortSizeText(disk.sizeBytes), "\(disk.logicalBlockSize)", disk.model ?? "-",
                reasons.isEmpty ? "yes" : "no: " + reasons,
            ])
        }
        try Terminal.result(table.lines)
    }

    private func object(_ disk: DiskInfo) -> JSONValue {
        .object([
            "name": .text(disk.name), "path": .text(disk.path), "sizeBytes": .count(disk.sizeBytes),
            "logicalBlockSize": .count(UInt64(disk.logicalBlockSize)),
            "physicalBlockSize": .count(UInt64(disk.physicalBlockSize)),
            "model": disk.model.map { .text($0) } ?? .null, "serial": disk.serial.map { .text($0) } ?? .null,
            "removable": .flag(disk.isRemovable), "readOnly": .flag(disk.isReadOnly),
            "rotational": .flag(disk.isRotational), "candidate": .flag(disk.obstacles.isEmpty),
            "reasons": .list(disk.obstacles.map { .text($0.description) }),
        ])
    }
}
