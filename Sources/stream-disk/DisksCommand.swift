import ArgumentParser
import Glibc
import StreamDisk

struct DisksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disks", abstract: "List this host's disks: which can be chosen, and why the others cannot.",
        discussion: """
            Without --disk, 'stream' chooses the smallest candidate that fits the image. A disk that is used only when named needs \
            --disk. Only root, and others who may read a disk, can see what is on it.

            Exit codes:
            \(HelpText.table([
                ("\(ExitCodes.done)", "the disks are listed, whether or not one of them can be chosen"),
                ("\(ExitCodes.unusableDisk)", "the disks of this host cannot be listed"),
                ("others", "see 'stream-disk --help'"),
            ]))
            """)

    @Flag(help: "Print JSON, for programs.")
    var json = false

    @Option(
        help: ArgumentHelp("Show which disks 'stream' chooses from with the same --select. Repeatable.", valueName: "key=value"))
    var select: [String] = []

    func validate() throws { _ = try hints(of: select) }

    func run() throws {
        let hints = try hints(of: select)
        let hosts = HostDisks()
        do throws(DiskSelectionError) {
            try hosts.expectReadable()
        } catch {
            let fault = StreamFault.disk(error)
            throw Terminal.failure(fault.message(.options()), fault.code)
        }
        if json { return try Terminal.result(hosts.json(selectedBy: hints).pretty) }
        let disks = hosts.shown(selectedBy: hints)
        guard !disks.isEmpty else {
            try Terminal.result(["This host has no disks."])
            return
        }
        var table = Table(["disk", "size", "block", "model", "on it", "candidate"])
        for (disk, contents) in disks {
            let reasons = disk.obstacles.map(\.description).joined(separator: "; ")
            table.add([
                disk.path, shortSizeText(disk.sizeBytes), "\(disk.blockBytes)", disk.model ?? "-",
                contents?.summary ?? "unknown", reasons.isEmpty ? "yes" : "no: " + reasons,
            ])
        }
        try Terminal.result(table.lines(columns: Terminal.outputColumns))
        if disks.contains(where: { $0.contents == nil }), geteuid() != 0 {
            Terminal.note("seeing what is on a disk takes the right to read it, as root has")
        }
    }
}
