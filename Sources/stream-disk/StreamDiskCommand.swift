import ArgumentParser
import StreamDisk

struct StreamDiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-disk",
        abstract: "Streams an OS image onto a disk: fetched, checked, decompressed and written in one pass.",
        discussion: """
            IMAGE is a COSI 1.2 file: https://…, http://…, file://… or a path.

            Examples:
              # What is in this image?
              stream-disk inspect https://images.example/server.cosi

              # Which disks are there, and which would be taken?
              stream-disk disks

              # Write it to a named disk; show the plan first
              stream-disk stream https://images.example/server.cosi --disk /dev/nvme0n1 --dry-run
              stream-disk stream https://images.example/server.cosi --disk /dev/nvme0n1

              # In a script: the smallest disk that fits, only this very image, no question
              stream-disk https://images.example/server.cosi --hash sha384:… --yes

              # Without root: into a file, as if it were a disk
              truncate -s 8G disk.raw && stream-disk server.cosi --disk disk.raw --yes

              # Does this disk hold that image? Nothing is written
              stream-disk verify https://images.example/server.cosi --disk /dev/nvme0n1

            Exit codes: 0 written and flushed (verify: the disk holds the image) · 64 usage · 65 image invalid or not the one
            asked for · 66 no such image · 69 source not reached · 70 a bug in this program · 74 the disk failed or does not hold
            what it should, or standard output failed · 75 another run holds the disk · 76 the server cannot serve it · 77 not
            permitted · 78 no usable disk · 130/143 interrupted
            """,
        version: ProductVersion.current,
        subcommands: [StreamCommand.self, InspectCommand.self, VerifyCommand.self, DisksCommand.self],
        defaultSubcommand: StreamCommand.self)
}
