import CLinux
import Glibc

/// The disks of a host, read from its /sys, /proc and /dev.
///
/// Keeps no state: each call reads everything again. Writes nothing. May be used from any thread.
public struct HostDisks: Sendable {
    let tree: HostFiles

    /// The disks of this host.
    public init() { self.init(root: "/") }

    /// - Parameter root: the folder that contains sys, proc and dev. Tests pass a made-up tree.
    package init(root: String) {
        tree = HostFiles(root: root)
    }

    /// All whole disks in natural order of names, including those that are never selected automatically (loop, zram, dm, md …).
    ///
    /// Partitions and devices that the kernel hides (the single paths of a multipath NVMe disk) are left out. No disk is
    /// opened, since even a short exclusive open can disturb another program. So `obstacles` never contains
    /// `.openedExclusively`, which only opening shows.
    public func list() -> [DiskInfo] { list(DiskUse(of: tree, withLocks: true), source: nil) }

    /// The same without transient reasons: locks are not among the obstacles.
    ///
    /// - Parameter source: where the image is read from. A disk that contains it is disqualified.
    func list(source: LocalOrigin?) -> [DiskInfo] { list(DiskUse(of: tree, withLocks: false), source: source) }

    private func list(_ use: DiskUse, source: LocalOrigin?) -> [DiskInfo] {
        let all = tree.blockDevices().compactMap(hardware(named:))
        return withUses(all, among: all, use, source: source).sorted { naturallyPrecedes($0.name, $1.name) }
    }

    /// The whole disk with this device number, as in `list(source:)`; nil for a partition and for an unknown number.
    ///
    /// Reads the uses of other disks only if they share bytes with this one.
    func disk(_ number: DeviceNumber, source: LocalOrigin? = nil) -> DiskInfo? {
        guard let own = hardware(number) else { return nil }
        let all = allHardware(with: own.name)
        let paths = all.filter { $0.number == number || own.identity != nil && $0.identity == own.identity }
        return withUses(paths, among: all, DiskUse(of: tree, withLocks: false), source: source).first { $0.number == number }
    }

    /// The same without uses, so with no obstacles. Reads a dozen files, where `disk` reads hundreds.
    func hardware(_ number: DeviceNumber) -> DiskInfo? {
        tree.name(of: number).flatMap(hardware(named:)).flatMap { $0.number == number ? $0 : nil }
    }

    /// All disks, without their uses. Loop devices that nothing is bound to share bytes with no disk and are left out, except
    /// the one that is `named`: a host may have dozens, and each takes twenty files to read.
    func allHardware(with named: String? = nil) -> [DiskInfo] {
        tree.blockDevices().filter { $0 == named || !isUnboundLoop($0) }.compactMap(hardware(named:))
    }

    /// - Parameters:
    ///   - disks: the disks to complete, including every path to their bytes.
    ///   - all: every disk of the host.
    private func withUses(
        _ disks: [DiskInfo], among all: [DiskInfo], _ use: DiskUse, source: LocalOrigin?
    ) -> [DiskInfo] {
        let shared = SharedUses(use, tree)
        let storage = source.map { Storage(of: $0, among: all, tree) }
        var disks = disks
        for index in disks.indices {
            disks[index].links = use.links[disks[index].number] ?? []
            disks[index].obstacles = obstacles(to: disks[index], use: use, shared: shared)
        }
        shareUses(among: &disks)
        guard let storage else { return disks }
        for index in disks.indices where storage.overlaps(Storage(writtenBy: disks[index].number, tree)) {
            disks[index].obstacles.insert(.isSource, at: 0)
        }
        return disks
    }

    private func isUnboundLoop(_ name: String) -> Bool {
        name.hasPrefix("loop") && tree.text("/sys/class/block/\(name)/size") == "0"
    }

    /// Another device node for the same bytes.
    struct OtherPath {
        let path: String
        let number: DeviceNumber
    }

    /// The other paths to the same bytes: further nodes of one medium, the device below a loop device, and the other loop
    /// devices on top of that.
    func otherPaths(to disk: DiskInfo) -> [OtherPath] {
        let same =
            disk.identity.map { identity in
                allHardware(with: disk.name).filter { $0.number != disk.number && $0.identity == identity }
            } ?? []
        return same.map { OtherPath(path: $0.path, number: $0.number) } + pathsBelow(disk.name)
    }

    /// The devices below a loop device, level by level, and the other loop devices with the same backing.
    func pathsBelow(_ name: String) -> [OtherPath] {
        let all = LoopBacking.all(of: tree)
        var names: [String] = []
        var next = all.first { $0.name == name }
        while let loop = next, names.count <= all.count {
            names += all.filter { other in
                other.name != loop.name && (loop.file.map { $0 == other.file } ?? (loop.device == other.device))
            }.map(\.name)
            guard let below = loop.device.flatMap({ tree.name(of: $0) }) else { break }
            names.append(below)
            next = all.first { $0.name == below }
        }
        return names.compactMap { name in
            tree.deviceNumber("/sys/class/block/\(name)/dev").map { OtherPath(path: node(named: name), number: $0) }
        }
    }

    /// The files that back a disk's loop devices, with the kernel's path for each.
    func filesBelow(_ disk: DiskInfo) -> [(file: FileIdentity, path: String)] {
        let files = Storage(unguardedBelow: disk.number, tree).files
        var found: [FileIdentity: String] = [:]
        for loop in LoopBacking.all(of: tree) {
            if let file = loop.file, files.contains(file) { found[file] = loop.path }
        }
        return found.map { ($0.key, $0.value) }
    }

    func node(named name: String) -> String { tree.prefix + "/dev/" + String(name.map { $0 == "!" ? "/" : $0 }) }

    /// The uses of a regular file that forbid writing to it, without its locks.
    func uses(ofFile file: FileIdentity, source: LocalOrigin?) -> [DiskRejection] {
        let use = DiskUse(of: tree, withLocks: false)
        var found: [DiskRejection] = []
        if let source, Storage(of: source, among: allHardware(), tree).overlaps(Storage(writtenBy: file)) {
            found.append(.isSource)
        }
        if use.swapFiles.contains(file) { found.append(.swap(device: "it")) }
        return found + (use.fileLoops[file] ?? []).map { .held(by: $0) }
    }

    /// The use of one path to a disk disqualifies its other paths, too.
    private func shareUses(among disks: inout [DiskInfo]) {
        let groups = Dictionary(grouping: disks.indices.filter { disks[$0].identity != nil }) { disks[$0].identity }
        for group in groups.values where group.count > 1 {
            let own = group.map { disks[$0].obstacles }
            for (index, obstacles) in zip(group, own) {
                for (other, uses) in zip(group, own) where other != index {
                    if uses.contains(where: \.isUse) {
                        disks[index].obstacles.append(.otherPath(name: disks[other].name))
                    }
                    for use in uses where use.isPassing && !obstacles.contains(use) && !disks[index].obstacles.contains(use) {
                        disks[index].obstacles.append(use)
                    }
                }
            }
        }
    }

    func hardware(named name: String) -> DiskInfo? {
        let folder = "/sys/class/block/\(name)"
        guard let number = tree.deviceNumber(folder + "/dev"),
            !tree.exists(folder + "/partition"), tree.text(folder + "/hidden") != "1", !isNVMePath(name)
        else { return nil }
        // Always in units of 512 bytes, whatever the disk's block size (Documentation/ABI/stable/sysfs-block).
        let size = (tree.number(folder + "/size") ?? UInt64(0)).multipliedReportingOverflow(by: 512)
        return DiskInfo(
            name: name,
            path: node(named: name),
            number: number,
            sizeBytes: size.overflow ? 0 : size.partialValue,
            blockBytes: tree.number(folder + "/queue/logical_block_size") ?? 0,
            physicalBlockBytes: tree.number(folder + "/queue/physical_block_size") ?? 0,
            vendor: vendor(folder),
            model: model(folder),
            serial: serial(folder),
            wwid: wwid(folder),
            transport: transport(name, folder),
            links: [],
            // A property that cannot be read counts against the disk.
            isRemovable: tree.text(folder + "/removable") != "0",
            isReadOnly: tree.text(folder + "/ro") != "0",
            isRotational: tree.text(folder + "/queue/rotational") == "1",
            dmaAlignmentBytes: dmaAlignment(folder),
            sequence: tree.number(folder + "/diskseq"),
            obstacles: [])
    }

    private func obstacles(to disk: DiskInfo, use: DiskUse, shared: SharedUses) -> [DiskRejection] {
        var found: [DiskRejection] = use.unreadable.map { .useUnknown(file: $0) }
        let family = family(of: disk.name, use: use)
        found += uses(by: family, use)
        if disk.sizeBytes > 0 { found += shared.obstacles(to: disk.number, family: Set(family.map(\.name))) }
        found += use.locks(onNodeAt: disk.path)
        if disk.isReadOnly { found.append(.readOnly) }
        if disk.sizeBytes == 0 { found.append(.zeroSize) }
        if let transport = disk.transport, Self.isNetwork(transport) { found.append(.network(transport: transport)) }
        switch DiskKind(of: disk.name) {
        case .candidate: if disk.isRemovable { found.append(.removable) }
        case .bootArea: found.append(.bootArea(name: disk.name))
        case .other: found.append(.wrongKind(name: disk.name))
        }
        return found
    }

    struct Member {
        let name: String
        let isHolder: Bool
    }

    /// The uses of these devices.
    func uses(by family: [Member], _ use: DiskUse) -> [DiskRejection] {
        var found: [DiskRejection] = []
        for member in family {
            guard let number = tree.deviceNumber("/sys/class/block/\(member.name)/dev") else {
                continue
            }
            if let mountPoint = use.mountPoints[number] {
                found.append(.mounted(device: member.name, mountPoint: mountPoint))
            }
            if use.swaps.contains(number) { found.append(.swap(device: member.name)) }
        }
        return found + family.filter(\.isHolder).map { .held(by: $0.name) }
    }

    /// The disk or partition, its partitions, what holds any of them, and so on up: each once.
    ///
    /// - Parameter withPartitions: false leaves out those of `disk` itself, and what holds them.
    func family(of disk: String, use: DiskUse, withPartitions: Bool = true) -> [Member] {
        var members = [Member(name: disk, isHolder: false)]
        var seen: Set<String> = [disk]
        var next = 0
        while next < members.count {
            let member = members[next]
            let folder = "/sys/class/block/\(member.name)"
            next += 1
            let number = tree.deviceNumber(folder + "/dev")
            let loops = number.flatMap { use.loops[$0] } ?? []
            for name in tree.names(in: folder + "/holders") + loops where seen.insert(name).inserted {
                members.append(Member(name: name, isHolder: true))
            }
            guard withPartitions || member.name != disk else { continue }
            for name in tree.partitions(of: member.name) where seen.insert(name).inserted {
                members.append(Member(name: name, isHolder: false))
            }
        }
        return members
    }
}

/// A single path of a multipath NVMe disk, such as nvme0c1n1. Older kernels do not mark it as hidden.
private func isNVMePath(_ name: String) -> Bool {
    name.hasPrefix("nvme") && name.dropFirst(4).contains("c")
}
