import CLinux
import Glibc

/// The disks of a host, read from its /sys, /proc and /dev.
///
/// Nothing is kept between calls: each looks anew. Nothing is written. May be used from any thread.
public struct HostDisks: Sendable {
    let tree: HostFiles

    /// Of this host.
    public init() { self.init(root: "/") }

    /// - Parameter root: where sys, proc and dev lie; another than `/` serves tests, with a tree laid out like them.
    package init(root: String) {
        tree = HostFiles(root: root)
    }

    /// All whole disks, also those that are never chosen by themselves (loop, zram, dm, md …), in natural order of
    /// their names.
    ///
    /// Left out are partitions and what the kernel hides (the single paths of a multipath NVMe disk). No disk is opened: to
    /// open one exclusively, even for a moment, would hinder whoever is about to use it. So what only its opening can tell
    /// (`.openedExclusively`) is not among the obstacles.
    public func list() -> [DiskInfo] { list(DiskUse(of: tree, withLocks: true), source: nil) }

    /// The same without what is of the moment: nobody's locks are among the obstacles.
    ///
    /// - Parameter source: what an image is read from, an obstacle to every disk that has it.
    func list(source: LocalOrigin?) -> [DiskInfo] { list(DiskUse(of: tree, withLocks: false), source: source) }

    private func list(_ use: DiskUse, source: LocalOrigin?) -> [DiskInfo] {
        let all = tree.blockDevices().compactMap(hardware(named:))
        return withUses(all, among: all, use, source: source).sorted { naturallyPrecedes($0.name, $1.name) }
    }

    /// The whole disk of this number, as in `list(source:)`; nil for a partition or what is not there.
    ///
    /// What other disks are in use for is read only where they lead to the same bytes.
    func disk(_ number: DeviceNumber, source: LocalOrigin? = nil) -> DiskInfo? {
        guard let own = hardware(number) else { return nil }
        let all = allHardware(with: own.name)
        let paths = all.filter { $0.number == number || own.identity != nil && $0.identity == own.identity }
        return withUses(paths, among: all, DiskUse(of: tree, withLocks: false), source: source).first { $0.number == number }
    }

    /// The same without a look at what it is in use for: it has no obstacles. A dozen files, where `disk` reads hundreds.
    func hardware(_ number: DeviceNumber) -> DiskInfo? {
        tree.name(of: number).flatMap(hardware(named:)).flatMap { $0.number == number ? $0 : nil }
    }

    /// All disks without a look at what they are in use for. Loop devices that nothing is bound to have nothing in common with any
    /// and are left out, but for the one that is `named`: a host may have dozens, and each costs a score of files to read.
    func allHardware(with named: String? = nil) -> [DiskInfo] {
        tree.blockDevices().filter { $0 == named || !isUnboundLoop($0) }.compactMap(hardware(named:))
    }

    /// - Parameters:
    ///   - disks: those that are wanted, with every path to their bytes.
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

    /// Another node that leads to a disk's bytes.
    struct OtherPath {
        let path: String
        let number: DeviceNumber
    }

    /// The other paths to the same bytes: two nodes for one medium; what a loop device lies over, and the other loop devices
    /// over that.
    func otherPaths(to disk: DiskInfo) -> [OtherPath] {
        let same =
            disk.identity.map { identity in
                allHardware(with: disk.name).filter { $0.number != disk.number && $0.identity == identity }
            } ?? []
        return same.map { OtherPath(path: $0.path, number: $0.number) } + pathsBelow(disk.name)
    }

    /// What a loop device lies over, and the other loop devices over that.
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

    /// The files that a disk's loop devices lie over, and what the kernel calls them.
    func filesBelow(_ disk: DiskInfo) -> [(file: FileIdentity, path: String)] {
        let files = Storage(unguardedBelow: disk.number, tree).files
        var found: [FileIdentity: String] = [:]
        for loop in LoopBacking.all(of: tree) {
            if let file = loop.file, files.contains(file) { found[file] = loop.path }
        }
        return found.map { ($0.key, $0.value) }
    }

    func node(named name: String) -> String { tree.prefix + "/dev/" + String(name.map { $0 == "!" ? "/" : $0 }) }

    /// What a regular file is in use for, which forbids to write onto it; its locks not among it.
    func uses(ofFile file: FileIdentity, source: LocalOrigin?) -> [DiskRejection] {
        let use = DiskUse(of: tree, withLocks: false)
        var found: [DiskRejection] = []
        if let source, Storage(of: source, among: allHardware(), tree).overlaps(Storage(writtenBy: file)) {
            found.append(.isSource)
        }
        if use.swapFiles.contains(file) { found.append(.swap(device: "it")) }
        return found + (use.fileLoops[file] ?? []).map { .held(by: $0) }
    }

    /// What one path to a disk is used for counts against its other paths, too.
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
        // The kernel counts this one in 512 bytes, whatever the disk's blocks (Documentation/ABI/stable/sysfs-block).
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
            // What cannot be read counts against it.
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

    /// What these are in use for.
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

/// One path of a multipath NVMe disk, such as nvme0c1n1: older kernels do not mark it hidden.
private func isNVMePath(_ name: String) -> Bool {
    name.hasPrefix("nvme") && name.dropFirst(4).contains("c")
}
