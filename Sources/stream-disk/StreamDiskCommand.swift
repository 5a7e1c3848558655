import ArgumentParser
import StreamDisk

struct StreamDiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-disk",
        abstract: "Streams an OS image onto a disk: fetched, checked, decompressed and written in one pass.",
        usage: """
            stream-disk [stream] <image> [--disk <path>] [--hash <hash>] [--yes]
            stream-disk inspect <image>
            stream-disk verify <image> --disk <path>
            stream-disk disks
            """,
        discussion: """
            An image is a COSI 1.2 file: an https://, http:// or file:// URL, or a path.

            What is in an image, and what is its hash?
            \(HelpText.command("stream-disk inspect https://images.example/os.cosi"))
            \(HelpText.command("IMAGE=https://images.example/os.cosi"))
            \(HelpText.command("HASH=$(stream-disk inspect $IMAGE --json | jq -r .hash)"))

            Which disks are there, and which would be taken?
            \(HelpText.command("stream-disk disks"))

            The plan, with what would be lost; nothing is written:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk /dev/nvme0n1 --dry-run"))

            The same, written after a question:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk /dev/nvme0n1"))

            In a script, onto the smallest disk that fits, without a question:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --yes"))

            Without root, into a file as if it were a disk:
            \(HelpText.command("truncate -s 8G disk.raw"))
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk disk.raw --yes"))

            Does a disk hold this image? It is only read:
            \(HelpText.command("stream-disk verify $IMAGE --hash $HASH --disk /dev/nvme0n1"))

            Exit codes:
            \(ExitCodes.table)
            """,
        version: ProductVersion.current,
        subcommands: [StreamCommand.self, InspectCommand.self, VerifyCommand.self, DisksCommand.self],
        defaultSubcommand: StreamCommand.self)
}
