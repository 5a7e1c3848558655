import CLinux
import Glibc

/// What holds the bytes of a file or a block device: partitions and disks, files under loop devices, what device-mapper and RAID
/// are built of.
struct Storage {
    private(set) var devices: Set<DeviceNumber> = []
    private(set) var files: Set<FileIdentity> = []
    private let reach: Reach

    private enum Reach {
        /// Everything below counts, as far as the disk with the file system that an image file is on.
        case source
        /// What would be written.
        case written
        /// The same, but not what device-mapper and RAID keep for themselves, and divide among disks.
        case unguarded
    }

    /// What an image is read from.
    init(of origin: LocalOrigin, among disks: [DiskInfo], _ tree: HostFiles) {
        reach = .source
        if let device = origin.device { add(device, tree) } else { add(origin.file, tree) }
        // Other paths lead to the same bytes.
        let identities = Set(disks.filter { devices.contains($0.number) }.compactMap(\.identity))
        for disk in disks where disk.identity.map(identities.contains) == true { devices.insert(disk.number) }
    }

    /// What is written when a disk is.
    init(writtenBy disk: DeviceNumber, _ tree: HostFiles) {
        reach = .written
        add(disk, tree)
    }

    /// What is written when a disk is, and others can get at it by a way that the kernel does not keep them from: loop devices.
    init(unguardedBelow disk: DeviceNumber, _ tree: HostFiles) {
        reach = .unguarded
        add(disk, tree)
    }

    /// What is written when a file is.
    init(writtenBy file: FileIdentity) {
        reach = .written
        files = [file]
    }

    func overlaps(_ other: Storage) -> Bool {
        !devices.isDisjoint(with: other.devices) || !files.isDisjoint(with: other.files)
    }

    private mutating func add(_ number: DeviceNumber, _ tree: HostFiles) {
        guard devices.insert(number).inserted, let name = tree.name(of: number) else { return }
        let folder = "/sys/class/block/\(name)"
        guard tree.exists(folder + "/partition") else {
            for partition in tree.partitions(of: name) {
                if let part = tree.deviceNumber("\(folder)/\(partition)/dev") { devices.insert(part) }
            }
            addBelow(name, tree)
            return
        }
        // In sysfs a partition lies in its disk. Whoever writes a partition does not write all of its disk.
        guard let disk = tree.resolved(folder)?.split(separator: "/").dropLast().last.map(String.init) else { return }
        if reach == .source, let number = tree.deviceNumber("/sys/class/block/\(disk)/dev") { devices.insert(number) }
        addBelow(disk, tree)
    }

    /// What a whole disk is made of, where it is no real one.
    private mutating func addBelow(_ name: String, _ tree: HostFiles) {
        for slave in tree.names(in: "/sys/class/block/\(name)/slaves") where reach != .unguarded {
            if let number = tree.deviceNumber("/sys/class/block/\(slave)/dev") { add(number, tree) }
        }
        guard let loop = LoopBacking(named: name, of: tree) else { return }
        if let device = loop.device { add(device, tree) }
        if let file = loop.file { add(file, tree) }
    }

    private mutating func add(_ file: FileIdentity, _ tree: HostFiles) {
        // A file system without a device of its own (btrfs, overlay) is among the mounted ones, and in use by that.
        if files.insert(file).inserted, reach == .source, file.device.major != 0 { add(file.device, tree) }
    }
}
