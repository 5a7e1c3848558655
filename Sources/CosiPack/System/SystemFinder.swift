import CosiFormat
import StreamDisk

/// Looks for the root file system and reads what `SystemFacts` has.
struct SystemFinder {
    let descriptor: Int32
    let partitions: [SystemPartition]
    private var warnings: [String] = []

    init(descriptor: Int32, partitions: [SystemPartition]) {
        (self.descriptor, self.partitions) = (descriptor, partitions)
    }

    mutating func find(root wanted: Int?, _ facts: inout SystemFacts) {
        defer { facts.warnings += warnings }
        guard let (root, tree) = findRoot(wanted, &facts) else {
            warnings.append("no root file system was found: no partition has an os-release file that can be read")
            findBootloader(root: nil, &facts)
            return
        }
        facts.rootPartition = root.number
        facts.mountPoints = mountPoints(root: root, tree)
        facts.osArch = note { () throws(ToolFailure) in try Self.architecture(tree) } ?? nil
        if facts.osArch == nil {
            warnings.append("the machine that the system is for was not found: none of its programs is of a known one")
        }
        facts.osPackages = note { () throws(ToolFailure) in try Self.packages(tree) } ?? nil
        if facts.osPackages == nil {
            warnings.append("the installed packages were not found: the system has no dpkg database, and others are not read")
        }
        findBootloader(root: tree, &facts)
        findVerity(&facts)
    }

    /// The result, or nil and a warning.
    private mutating func note<Value>(_ body: () throws(ToolFailure) -> Value) -> Value? {
        do throws(ToolFailure) {
            return try body()
        } catch {
            let text = "\(error)"
            if !warnings.contains(text) { warnings.append(text) }
            return nil
        }
    }

    /// Nil if the partition has no file system that files can be read from.
    private mutating func tree(of partition: SystemPartition) -> (any FileTree)? {
        let descriptor = descriptor
        return switch partition.signature?.type {
        case "ext2"?, "ext3"?, "ext4"?: ExtFiles(descriptor: descriptor, offsetBytes: partition.offsetBytes)
        case "vfat"?: FATFiles(descriptor: descriptor, offsetBytes: partition.offsetBytes)
        case let type? where MountedFiles.options[type] != nil:
            note { () throws(ToolFailure) in try MountedFiles(descriptor, partition, type: type) }
        default: nil
        }
    }

    // MARK: The root file system

    private static let releasePaths = ["/etc/os-release", "/usr/lib/os-release"]
    private static let releaseBytesMax = 64 << 10

    /// Partitions that say by their type that they are a root come first.
    private mutating func findRoot(
        _ wanted: Int?, _ facts: inout SystemFacts
    ) -> (partition: SystemPartition, tree: any FileTree)? {
        let typed = partitions.filter { PartitionTypes.roots.contains($0.type) }
        let others = partitions.filter { !PartitionTypes.roots.contains($0.type) && $0.signature?.type != "vfat" }
        var found: [(partition: SystemPartition, tree: any FileTree, release: String)] = []
        for partition in typed + others where wanted == nil || wanted == partition.number {
            guard let tree = tree(of: partition) else { continue }
            for path in Self.releasePaths {
                let text = note { () throws(ToolFailure) in try tree.text(of: path, limitBytes: Self.releaseBytesMax) } ?? nil
                guard let text else { continue }
                found.append((partition, tree, text))
                break
            }
        }
        guard let first = found.first else {
            // The one that was named is the root, whatever it holds.
            guard let wanted, let partition = partitions.first(where: { $0.number == wanted }), let tree = tree(of: partition)
            else { return nil }
            warnings.append("partition \(wanted) has no os-release file")
            return (partition, tree)
        }
        if found.count > 1 {
            let numbers = found.dropFirst().map { "\($0.partition.number)" }.joined(separator: ", ")
            warnings.append(
                "partition \(first.partition.number) is taken for the root file system, but \(numbers) has an os-release file too"
            )
        }
        facts.osRelease = first.release
        return (first.partition, first.tree)
    }

    // MARK: Mount points

    private mutating func mountPoints(root: SystemPartition, _ tree: any FileTree) -> [Int: String] {
        let text = note { () throws(ToolFailure) in try tree.text(of: "/etc/fstab") } ?? nil
        let table = Fstab(text ?? "", partitions: partitions)
        warnings += table.warnings
        var points = table.mountPoints.filter { $0.key == root.number || $0.value != "/" }
        points[root.number] = "/"
        // What systemd-gpt-auto-generator(8) does with partitions that no line names.
        for partition in partitions where points[partition.number] == nil && partition.signature != nil {
            guard let point = automaticPoint(partition, tree), point == "swap" || !points.values.contains(point) else { continue }
            points[partition.number] = point
        }
        return points
    }

    private mutating func automaticPoint(_ partition: SystemPartition, _ tree: any FileTree) -> String? {
        if partition.signature?.type == "swap" { return "swap" }
        guard partition.type == .efiSystemPartition else { return PartitionTypes.mountPoints[partition.type] }
        guard partition.signature?.type == "vfat" else { return nil }
        for folder in ["/boot/efi", "/efi", "/boot"] {
            if note({ () throws(ToolFailure) in try tree.exists(folder) }) == true { return folder }
        }
        return nil
    }

    // MARK: Machine and packages

    private static let programs = [
        "/usr/lib/systemd/systemd", "/usr/bin/env", "/usr/bin/sh", "/bin/sh", "/sbin/init", "/bin/busybox",
        "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
    ]

    /// By the header of a program (ELF, e_machine).
    private static func architecture(_ tree: any FileTree) throws(ToolFailure) -> CosiMetadata.Architecture? {
        for path in programs {
            guard let head = try tree.contents(of: path, limitBytes: 20, isCut: true), head.count == 20,
                Array(head[..<4]) == [0x7F, 0x45, 0x4C, 0x46], head[5] == 1
            else { continue }
            switch head.little16(18) {
            case 62: return .x86_64
            case 183: return .arm64
            default: continue
            }
        }
        return nil
    }

    private static func packages(_ tree: any FileTree) throws(ToolFailure) -> [CosiMetadata.Package]? {
        if let bytes = try tree.contents(of: DpkgStatus.path, limitBytes: DpkgStatus.bytesMax) {
            return DpkgStatus.packages(bytes)
        }
        return nil
    }

    // MARK: Boot loader

    private mutating func findBootloader(root: (any FileTree)?, _ facts: inout SystemFacts) {
        var entries: [CosiMetadata.BootEntry] = []
        var (hasSystemd, hasGrub) = (false, false)
        let boots = partitions.filter { $0.type == .efiSystemPartition || PartitionTypes.mountPoints[$0.type] == "/boot" }
        for partition in boots {
            guard let tree = tree(of: partition) else { continue }
            let boot = BootEntries(tree: tree, mountPoint: facts.mountPoints[partition.number] ?? "/boot/efi")
            note { () throws(ToolFailure) in
                entries += try boot.entries()
                if try boot.hasSystemdBoot() { hasSystemd = true }
                if try boot.hasGrub() { hasGrub = true }
            }
        }
        if let root, !hasGrub {
            note { () throws(ToolFailure) in
                for folder in ["/boot/grub", "/boot/grub2"] { if try root.exists(folder + "/grub.cfg") { hasGrub = true } }
            }
        }
        // grub leaves entries of its own in /loader/entries; systemd-boot or unified kernels are there only with systemd-boot.
        let isSystemd = hasSystemd || (!hasGrub && !entries.isEmpty)
        if isSystemd {
            facts.bootloader = CosiMetadata.Bootloader(type: "systemd-boot", entries: entries)
        } else if hasGrub {
            facts.bootloader = CosiMetadata.Bootloader(type: "grub", entries: [])
        }
    }

    // MARK: Verity

    /// Hash partitions by their signature; the root hash by the kernel's command line (systemd-veritysetup-generator(8)).
    private func findVerity(_ facts: inout SystemFacts) {
        let lines = facts.bootloader?.entries.map(\.cmdline) ?? []
        let words = lines.flatMap { $0.split(separator: " ") }
        func value(_ name: String) -> String? {
            words.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
        }
        for partition in partitions where partition.signature?.type == "DM_verity_hash" {
            let isUsr = PartitionTypes.usrVerity.contains(partition.type)
            let rootHash = value(isUsr ? "usrhash" : "roothash")
            let data = isUsr ? facts.mountPoints.first { $0.value == "/usr" }?.key : facts.rootPartition
            facts.verity.append(.init(hashPartition: partition.number, dataPartition: data, rootHash: rootHash))
        }
    }
}

/// Types of partitions that say what is mounted where (UAPI Discoverable Partitions Specification), of x86-64 and arm64.
enum PartitionTypes {
    static let roots = ids(["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "b921b045-1df0-41c3-af44-4c6f280d3fae"])
    static let usrVerity = ids(["77ff5f63-e7b6-4633-acf4-1565b864c0e6", "6e11a4e7-fbca-4ded-b9e9-e1a512bb664e"])

    static let mountPoints: [GUID: String] = {
        let points = [
            "8484680c-9521-48c6-9c11-b0720656f69e": "/usr", "b0e01050-ee5f-4390-949a-9101b17104e9": "/usr",
            "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "/home", "3b8f8425-20e0-4f3b-907f-1a25a76f98e8": "/srv",
            "4d21b016-b534-45c2-a9fb-5c16e091fd2d": "/var", "7ec6f557-3bc5-4aca-b293-16ef5df639d1": "/var/tmp",
            "bc13c2ff-59e6-4262-a352-b275fd6f7172": "/boot",
        ]
        return Dictionary(uniqueKeysWithValues: points.compactMap { id, point in GUID(id).map { ($0, point) } })
    }()

    private static func ids(_ texts: [String]) -> Set<GUID> { Set(texts.compactMap { GUID($0) }) }
}
