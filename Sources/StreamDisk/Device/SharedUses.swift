/// Which bytes of this host's disks and files are in use, and by what.
///
/// Needed for loop devices: the kernel lets several of them share a file or disk, or use it beside other programs. So the use
/// of the bytes is not visible on the disk itself.
struct SharedUses {
    private struct Use {
        let name: String
        let number: DeviceNumber
        let obstacle: DiskRejection
        let storage: Storage
    }

    private let tree: HostFiles
    private let swapFiles: Set<FileIdentity>
    private let locks: [FileIdentity: [DiskRejection]]
    private var uses: [Use] = []

    init(_ use: DiskUse, _ tree: HostFiles) {
        self.tree = tree
        swapFiles = use.swapFiles
        locks = use.locks
        for (number, mountPoint) in use.mountPoints { add(number) { .mounted(device: $0, mountPoint: mountPoint) } }
        for number in use.swaps { add(number) { .swap(device: $0) } }
        // Loop devices are left out here (`LoopBacking` has their backing): a host may have dozens.
        for name in tree.blockDevices()
        where !name.hasPrefix("loop") && !tree.names(in: "/sys/class/block/\(name)/slaves").isEmpty {
            if let number = tree.deviceNumber("/sys/class/block/\(name)/dev") { add(number) { .held(by: $0) } }
        }
        uses.sort { naturallyPrecedes($0.name, $1.name) }
    }

    private mutating func add(_ number: DeviceNumber, _ obstacle: (String) -> DiskRejection) {
        guard let name = tree.name(of: number) else { return }
        uses.append(Use(name: name, number: number, obstacle: obstacle(name), storage: Storage(writtenBy: number, tree)))
    }

    /// The uses of the bytes below a disk, other than by the disk itself.
    ///
    /// - Parameter family: the disk, its partitions and their holders. The caller reports their uses.
    func obstacles(to disk: DeviceNumber, family: Set<String>) -> [DiskRejection] {
        let storage = Storage(unguardedBelow: disk, tree)
        var found = uses.filter { use in
            guard !family.contains(use.name), storage.overlaps(use.storage) else { return false }
            // A loop device on top of this disk is the same bytes, not another user of them.
            if case .held = use.obstacle { return !storage.devices.contains(use.number) }
            return true
        }.map(\.obstacle)
        if !storage.files.isDisjoint(with: swapFiles) { found.append(.swap(device: "the file that it lies over")) }
        return found + storage.files.flatMap { locks[$0] ?? [] }
    }
}
