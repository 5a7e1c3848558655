import CLinux
import Glibc

/// A partition that the kernel knows.
struct KernelPartition: Equatable {
    /// Such as sda1, nvme0n1p1.
    let name: String
    /// The number of its node; nil if sysfs does not list it.
    let device: DeviceNumber?
    /// The GPT entry's number, from 1.
    let number: Int
    let startBytes: Int64
    let lengthBytes: Int64
}

extension HostDisks {
    /// The name of the partition with this device number; nil if it is not a partition.
    func partition(_ number: DeviceNumber) -> String? {
        guard let name = tree.name(of: number), tree.exists("/sys/class/block/\(name)/partition") else { return nil }
        return name
    }

    /// The partitions of this disk that the kernel knows, ordered by number.
    func partitions(of disk: String) -> [KernelPartition] {
        tree.partitions(of: disk).compactMap { name -> KernelPartition? in
            let folder = "/sys/class/block/\(disk)/\(name)"
            guard let number: Int = tree.number(folder + "/partition") else { return nil }
            // Both count in units of 512 bytes, as the disk's size does.
            let start = (tree.number(folder + "/start") ?? Int64(0)).multipliedReportingOverflow(by: 512)
            let length = (tree.number(folder + "/size") ?? Int64(0)).multipliedReportingOverflow(by: 512)
            return KernelPartition(
                name: name, device: tree.deviceNumber(folder + "/dev"), number: number,
                startBytes: start.overflow ? 0 : start.partialValue, lengthBytes: length.overflow ? 0 : length.partialValue)
        }.sorted { $0.number < $1.number }
    }
}

// Partitions as targets.
extension HostDisks {
    /// The partition with this device number, with its disk's properties but without its uses; nil if it is not a partition.
    func partitionHardware(_ number: DeviceNumber) -> DiskInfo? {
        // In sysfs a partition's folder is inside its disk's.
        guard let name = partition(number),
            let diskName = tree.resolved("/sys/class/block/\(name)")?.split(separator: "/").dropLast().last.map(String.init),
            let disk = hardware(named: diskName), let kernel = partitions(of: diskName).first(where: { $0.name == name }),
            kernel.device == number
        else { return nil }
        return info(of: kernel, on: disk)
    }

    private func info(of kernel: KernelPartition, on disk: DiskInfo) -> DiskInfo {
        var info = disk
        info.name = kernel.name
        info.path = node(named: kernel.name)
        if let device = kernel.device { info.number = device }
        let start = UInt64(max(kernel.startBytes, 0))
        info.sizeBytes = UInt64(max(kernel.lengthBytes, 0))
        info.place = .init(diskName: disk.name, diskPath: disk.path, disk: disk.number, bytes: start..<start + info.sizeBytes)
        // A partition has its own flag. If it cannot be read, the partition counts as read-only.
        info.isReadOnly = disk.isReadOnly || tree.text("/sys/class/block/\(kernel.name)/ro") != "0"
        return info
    }

    /// The other partitions that share bytes with this one: the same partition on other paths to the disk, and partitions of its
    /// own disk that overlap it, as some tables have them (a BSD label in a partition).
    func twins(of partition: DiskInfo) -> [DiskInfo] {
        guard let place = partition.place, let disk = hardware(named: place.diskName) else { return [] }
        let others = disk.identity.map { identity in
            allHardware(with: disk.name).filter { $0.number != disk.number && $0.identity == identity }
        }
        return ([disk] + (others ?? [])).flatMap { other in
            partitions(of: other.name).map { info(of: $0, on: other) }.filter {
                $0.number != partition.number && $0.place?.bytes.overlaps(place.bytes) == true
            }
        }
    }

    /// The partition with this device number, with the obstacles to writing it: its own uses, and obstacles of its disk as a
    /// whole. Uses of the disk's other partitions do not count.
    ///
    /// - Parameter source: where the image is read from.
    func partition(_ number: DeviceNumber, source: LocalOrigin?) -> DiskInfo? {
        guard var info = partitionHardware(number), let place = info.place else { return nil }
        let use = DiskUse(of: tree, withLocks: false)
        let family = family(of: info.name, use: use)
        let disk = self.family(of: place.diskName, use: use, withPartitions: false)
        let whole = self.family(of: place.diskName, use: use)
        let twins = twins(of: info)
        var found: [DiskRejection] = use.unreadable.map { .useUnknown(file: $0) }
        found += uses(by: family, use) + uses(by: disk, use)
        found += SharedUses(use, tree).obstacles(to: number, family: Set(whole.map(\.name)))
        for twin in twins {
            let members =
                self.family(of: twin.name, use: use)
                + self.family(of: twin.place?.diskName ?? twin.name, use: use, withPartitions: false)
            if !uses(by: members, use).isEmpty { found.append(.otherPath(name: twin.name)) }
        }
        if info.isReadOnly { found.append(.readOnly) }
        if info.sizeBytes == 0 { found.append(.zeroSize) }
        if let source {
            let origin = Storage(of: source, among: hardwareOfAll(), tree)
            if ([info] + twins).contains(where: { origin.overlaps(Storage(writtenBy: $0.number, tree)) }) {
                found.insert(.isSource, at: 0)
            }
        }
        info.links = use.links[number] ?? []
        info.obstacles = found
        return info
    }

    private func hardwareOfAll() -> [DiskInfo] { tree.blockDevices().compactMap(hardware(named:)) }

    /// Whether writing to one of two targets, given by their stat(2), would change the other.
    func share(_ one: stat, _ other: stat) -> Bool {
        let targets = [one, other].map { status in
            (status.st_mode & S_IFMT == S_IFBLK ? DeviceNumber(status.st_rdev) : nil, FileIdentity(status))
        }
        let partitions = targets.compactMap { $0.0.flatMap(partitionHardware)?.place }
        // Two partitions of one disk share the bytes that both cover, whatever the disk is built on.
        if partitions.count == 2, partitions[0].disk == partitions[1].disk {
            return partitions[0].bytes.overlaps(partitions[1].bytes)
        }
        let storages = targets.map { number, file -> [Storage] in
            guard let number else { return [Storage(writtenBy: file)] }
            let paths =
                if let partition = partitionHardware(number) { twins(of: partition).map(\.number) } else {
                    hardware(number).map { otherPaths(to: $0).map(\.number) } ?? []
                }
            return ([number] + paths).map { Storage(writtenBy: $0, tree) }
        }
        return storages[0].contains { one in storages[1].contains { $0.overlaps(one) } }
    }
}
