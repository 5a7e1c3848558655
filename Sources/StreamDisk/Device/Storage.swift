import CLinux
import Glibc

/// Where the bytes of a file or block device are stored: partitions and disks, backing files of loop devices, and the
/// components of device-mapper and RAID devices.
struct Storage {
    private(set) var devices: Set<DeviceNumber> = []
    private(set) var files: Set<FileIdentity> = []
    private let reach: Reach

    private enum Reach {
        /// Everything below, down to the disk whose file system contains the image file.
        case source
        /// What a write would change.
        case written
        /// The same, without the components of device-mapper and RAID: the kernel holds those, and divides them among disks.
        case unguarded
    }

    /// The storage that an image is read from.
    init(of origin: LocalOrigin, among disks: [DiskInfo], _ tree: HostFiles) {
        reach = .source
        if let device = origin.device { add(device, tree) } else { add(origin.file, tree) }
        // Other paths lead to the same bytes.
        let identities = Set(disks.filter { devices.contains($0.number) }.compactMap(\.identity))
        for disk in disks where disk.identity.map(identities.contains) == true { devices.insert(disk.number) }
    }

    /// The bytes that change when the disk is written.
    init(writtenBy disk: DeviceNumber, _ tree: HostFiles) {
        reach = .written
        add(disk, tree)
    }

    /// The bytes that change when the disk is written and that the kernel does not protect from others: those below loop
    /// devices.
    init(unguardedBelow disk: DeviceNumber, _ tree: HostFiles) {
        reach = .unguarded
        add(disk, tree)
    }

    /// The bytes that change when the file is written.
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
        // In sysfs a partition lies inside its disk. Writing a partition does not write the whole disk.
        guard let disk = tree.resolved(folder)?.split(separator: "/").dropLast().last.map(String.init) else { return }
        if reach == .source, let number = tree.deviceNumber("/sys/class/block/\(disk)/dev") { devices.insert(number) }
        addBelow(disk, tree)
    }

    /// The components of a virtual disk.
    private mutating func addBelow(_ name: String, _ tree: HostFiles) {
        for slave in tree.names(in: "/sys/class/block/\(name)/slaves") where reach != .unguarded {
            if let number = tree.deviceNumber("/sys/class/block/\(slave)/dev") { add(number, tree) }
        }
        guard let loop = LoopBacking(named: name, of: tree) else { return }
        if let device = loop.device { add(device, tree) }
        if let file = loop.file { add(file, tree) }
    }

    private mutating func add(_ file: FileIdentity, _ tree: HostFiles) {
        // A file system without a device of its own (btrfs, overlay) counts as mounted, and so as in use.
        if files.insert(file).inserted, reach == .source, file.device.major != 0 { add(file.device, tree) }
    }
}
