import ArgumentParser
import CosiFormat
import CosiPack
import Glibc
import StreamDisk

/// What the metadata is to say, whatever the disk says.
struct PackMetadataArguments: ParsableArguments {
    @Option(
        name: .customLong("metadata"),
        help: ArgumentHelp(
            "Override what is found on the disk by this JSON file, any field of osArch, osRelease, id, osPackages, bootloader, and of "
                + "images[] (each with the number of its partition). The options below override it.", valueName: "file"),
        completion: .file())
    var metadataFile: String?

    @Option(
        name: .customLong("os-release"),
        help: ArgumentHelp("Take this file for the system's /etc/os-release.", valueName: "file"),
        completion: .file())
    var osReleaseFile: String?

    @Option(help: ArgumentHelp("The machine that the system is for: x86_64 or arm64.", valueName: "name"))
    var osArch: String?

    @Option(
        help: ArgumentHelp(
            "Where the system mounts a partition, as in 1=/boot/efi; / names the root file system. Repeatable.",
            valueName: "number=path"))
    var mountPoint: [MountPointArgument] = []

    @Option(
        help: ArgumentHelp(
            "The hash tree of a partition's file system: its number, that of the partition with the tree, and the root hash, as in 2=3:…. "
                + "Repeatable.", valueName: "number=number:hash"))
    var verity: [VerityArgument] = []

    func validate() throws {
        if let osArch, CosiMetadata.Architecture(packed: osArch) == nil {
            throw ValidationError("--os-arch must be x86_64 or arm64.")
        }
    }

    /// The files are read here.
    func overrides() throws(ArgumentFault) -> PackOverrides {
        var overrides = PackOverrides()
        if let metadataFile {
            let bytes = try Self.read(metadataFile, "--metadata")
            do throws(FormatError) {
                overrides = try PackOverrides(json: bytes, name: metadataFile)
            } catch {
                throw ArgumentFault(code: ExitCodes.usage, message: "--metadata \(error.place): \(error.problem)")
            }
        }
        if let osReleaseFile {
            let bytes = try Self.read(osReleaseFile, "--os-release")
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw ArgumentFault(code: ExitCodes.usage, message: "--os-release \(osReleaseFile): not UTF-8 text")
            }
            overrides.osRelease = text
        }
        if let osArch { overrides.osArch = CosiMetadata.Architecture(packed: osArch) }
        for mount in mountPoint { overrides.filesystems[mount.number, default: .init()].mountPoint = mount.path }
        for tree in verity { overrides.filesystems[tree.number, default: .init()].verity = tree.verity }
        return overrides
    }

    private static func read(_ path: String, _ option: String) throws(ArgumentFault) -> [UInt8] {
        do throws(SystemError) {
            return try Descriptor(opening: path, O_RDONLY | O_NONBLOCK).readAll(limitBytes: 16 << 20, waitSeconds: 5)
        } catch {
            throw ArgumentFault(code: ExitCodes.usage, message: "\(option) \(path): \(error)")
        }
    }

    /// For the `start` event.
    var fields: [String: JSONValue] {
        [
            "metadata": .optional(metadataFile), "osRelease": .optional(osReleaseFile), "osArch": .optional(osArch),
            "mountPoints": .list(mountPoint.map { .text("\($0.number)=\($0.path)") }),
            "verity": .list(verity.map { .text("\($0.number)=\($0.verity.hashNumber):\($0.verity.rootHash)") }),
        ]
    }
}

/// `NUMBER=PATH`
struct MountPointArgument: ExpressibleByArgument {
    let number: Int
    let path: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let number = Int(parts[0]), number > 0, parts[1].hasPrefix("/") else { return nil }
        (self.number, path) = (number, parts[1])
    }
}

/// `NUMBER=NUMBER:HASH`
struct VerityArgument: ExpressibleByArgument {
    let number: Int
    let verity: PackInput.Verity

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        let tree = (parts.last ?? "").split(separator: ":").map(String.init)
        guard parts.count == 2, tree.count == 2, let number = Int(parts[0]), let hashNumber = Int(tree[0]), number > 0,
            hashNumber > 0,
            tree[1].count >= 32, tree[1].allSatisfy(\.isHexDigit)
        else { return nil }
        self.number = number
        verity = PackInput.Verity(hashNumber: hashNumber, rootHash: tree[1].lowercased())
    }
}
