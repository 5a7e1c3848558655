/// Who uses which bytes of this host's disks and files.
///
/// For loop devices: the kernel holds nobody off from using a file, or a disk, by two of them at once, or beside one. So what
/// their bytes are in use for cannot be told from the disk itself.
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
        // A loop device is built on no other in this sense (LoopBacking tells what it lies over), and a host may have dozens.
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

    /// What the bytes that a disk lies over are in use for, beside the disk.
    ///
    /// - Parameter family: the disk, its partitions and what is built on them, whose uses are told elsewhere.
    func obstacles(to disk: DeviceNumber, family: Set<String>) -> [DiskRejection] {
        let storage = Storage(unguardedBelow: disk, tree)
        var found = uses.filter { use in
            guard !family.contains(use.name), storage.overlaps(use.storage) else { return false }
            // It lies over this one, which is not built on its bytes but is them.
            if case .held = use.obstacle { return !storage.devices.contains(use.number) }
            return true
        }.map(\.obstacle)
        if !storage.files.isDisjoint(with: swapFiles) { found.append(.swap(device: "the file that it lies over")) }
        return found + storage.files.flatMap { locks[$0] ?? [] }
    }
}
