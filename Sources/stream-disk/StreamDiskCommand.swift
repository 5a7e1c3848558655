import ArgumentParser
import StreamDisk

struct StreamDiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-disk",
        abstract: "Stream an OS image to a disk: fetch, check, decompress and write it in one pass.",
        usage: """
            stream-disk [stream] <image> [--disk <path>] [--hash <hash>] [--yes]
            stream-disk inspect <image>
            stream-disk verify <image> --disk <path>
            stream-disk disks
            stream-disk pack <source> <output>
            """,
        discussion: """
            An image is a COSI 1.2 file: an https:// or http:// URL, oci://host/repository:tag for one in a registry, a \
            file:// URL, or a path. Proxies come from the environment \
            (https_proxy, http_proxy, no_proxy), credentials for a registry from the files of skopeo, podman and docker login.

            Show what an image holds:
            \(HelpText.command("stream-disk inspect https://images.example/os.cosi"))

            Take its hash, once, from a copy that you trust:
            \(HelpText.command("IMAGE=https://images.example/os.cosi"))
            \(HelpText.command("HASH=$(stream-disk inspect $IMAGE --json | jq -r .hash)"))

            List the disks, and which of them can be chosen:
            \(HelpText.command("stream-disk disks"))

            Show the plan and what would be lost; write nothing:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk /dev/nvme0n1 --dry-run"))

            Show the plan, ask, and write:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk /dev/nvme0n1"))

            In a script: write to the smallest disk that fits, without asking:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --yes"))

            The same, choosing among solid-state disks of 500 GiB or more:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --yes --select rotational=false --select 'size>=500G'"))

            Write the root partition's image onto an unused partition, as an A/B update does:
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --partition root=/dev/disk/by-partlabel/root-b"))

            Write to a file as if it were a disk; this needs no root:
            \(HelpText.command("truncate -s 8G disk.raw"))
            \(HelpText.command("stream-disk $IMAGE --hash $HASH --disk disk.raw --yes"))

            Check that a disk holds the image; this only reads:
            \(HelpText.command("stream-disk verify $IMAGE --hash $HASH --disk /dev/nvme0n1"))

            Make an image of a raw disk; this only reads the disk:
            \(HelpText.command("stream-disk pack disk.raw os.cosi"))

            Exit codes:
            \(ExitCodes.table)
            """,
        version: ProductVersion.current,
        subcommands: [StreamCommand.self, InspectCommand.self, VerifyCommand.self, DisksCommand.self, PackCommand.self],
        defaultSubcommand: StreamCommand.self)
}
