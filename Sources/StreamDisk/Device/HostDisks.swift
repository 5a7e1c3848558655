import CLinux
import Glibc

/// The disks of a host, read from its /sys, /proc and /dev.
///
/// Nothing is kept between calls: each looks anew. Nothing is written. May be used from any thread.
public struct HostDisks: Sendable {
    let tree: SystemTree

    /// - Parameter root: where sys, proc and dev lie; another than `/` serves tests, with a tree laid out like them.
    public init(root: String = "/") {
        tree = SystemTree(root: root)
    }

    /// All whole disks, also those that are never chosen by themselves (loop, zram, dm, md …), in natural order of
    /// their names.
    ///
    /// Left out are partitions and what the kernel hides (the single paths of a multipath NVMe disk). A disk that
    /// nothing stands against is opened for a moment, read-only, to see that nobody has it open exclusively.
    public func list() -> [DiskInfo] {
        let use = DiskUse(of: tree)
        return tree.names(in: "/sys/class/block")
            .compactMap { info(named: $0, use: use) }
            .map { disk in
                var disk = disk
                if disk.obstacles.isEmpty, let found = probe(disk) { disk.obstacles.append(found) }
                return disk
            }
            .sorted { naturallyPrecedes($0.name, $1.name) }
    }

    /// The whole disk of this number, without a look whether it is open exclusively; nil for a partition or what is not
    /// there.
    func disk(_ number: DeviceNumber) -> DiskInfo? {
        guard let name = tree.name(of: number), let disk = info(named: name, use: DiskUse(of: tree)),
            disk.number == number
        else { return nil }
        return disk
    }

    /// The name of the partition of this number; nil when it is none.
    func partition(_ number: DeviceNumber) -> String? {
        guard let name = tree.name(of: number), tree.exists("/sys/class/block/\(name)/partition") else { return nil }
        return name
    }

    /// How many partitions the kernel knows on this disk.
    func partitionCount(_ name: String) -> Int {
        tree.names(in: "/sys/class/block/\(name)").count {
            tree.exists("/sys/class/block/\(name)/\($0)/partition")
        }
    }

    private func info(named name: String, use: DiskUse) -> DiskInfo? {
        let folder = "/sys/class/block/\(name)"
        guard let number = tree.text(folder + "/dev").flatMap({ DeviceNumber($0) }),
            !tree.exists(folder + "/partition"), tree.text(folder + "/hidden") != "1", !isNVMePath(name)
        else { return nil }
        // The kernel counts this one in 512 bytes, whatever the disk's blocks (Documentation/ABI/stable/sysfs-block).
        let size = (tree.number(folder + "/size") ?? UInt64(0)).multipliedReportingOverflow(by: 512)
        var disk = DiskInfo(
            name: name,
            path: tree.prefix + "/dev/" + String(name.map { $0 == "!" ? "/" : $0 }),
            number: number,
            sizeBytes: size.overflow ? 0 : size.partialValue,
            logicalBlockSize: tree.number(folder + "/queue/logical_block_size") ?? 0,
            physicalBlockSize: tree.number(folder + "/queue/physical_block_size") ?? 0,
            model: model(folder),
            serial: serial(folder),
            // What cannot be read counts against it.
            isRemovable: tree.text(folder + "/removable") != "0",
            isReadOnly: tree.text(folder + "/ro") != "0",
            isRotational: tree.text(folder + "/queue/rotational") == "1",
            maxSectorsKB: tree.number(folder + "/queue/max_sectors_kb"),
            queueDepth: tree.number(folder + "/queue/nr_requests"),
            dmaAlignmentBytes: dmaAlignment(folder),
            sequence: tree.number(folder + "/diskseq"),
            obstacles: [])
        disk.obstacles = obstacles(to: disk, use: use)
        return disk
    }

    private func obstacles(to disk: DiskInfo, use: DiskUse) -> [Obstacle] {
        var found: [Obstacle] = use.unreadable.map { .useUnknown(file: $0) }
        let family = family(of: disk.name, use: use)
        for member in family {
            guard let number = tree.text("/sys/class/block/\(member.name)/dev").flatMap({ DeviceNumber($0) }) else {
                continue
            }
            if let mountPoint = use.mountPoints[number] {
                found.append(.mounted(device: member.name, mountPoint: mountPoint))
            }
            if use.swaps.contains(number) { found.append(.swap(device: member.name)) }
        }
        found += family.filter(\.isHolder).map { .held(by: $0.name) }
        if disk.isReadOnly { found.append(.readOnly) }
        if disk.sizeBytes == 0 { found.append(.zeroSize) }
        switch kind(of: disk.name) {
        case .candidate: if disk.isRemovable { found.append(.removable) }
        case .bootArea: found.append(.bootArea(name: disk.name))
        case .other: found.append(.wrongKind(name: disk.name))
        }
        return found
    }

    private struct Member {
        let name: String
        let isHolder: Bool
    }

    /// The disk, its partitions, what holds any of them, and so on up: each once.
    private func family(of disk: String, use: DiskUse) -> [Member] {
        var members = [Member(name: disk, isHolder: false)]
        var seen: Set<String> = [disk]
        var next = 0
        while next < members.count {
            let member = members[next]
            let folder = "/sys/class/block/\(member.name)"
            next += 1
            let number = tree.text(folder + "/dev").flatMap { DeviceNumber($0) }
            let loops = number.flatMap { use.loops[$0] } ?? []
            for name in tree.names(in: folder + "/holders") + loops where seen.insert(name).inserted {
                members.append(Member(name: name, isHolder: true))
            }
            for name in tree.names(in: folder) where tree.exists("\(folder)/\(name)/partition") {
                if seen.insert(name).inserted { members.append(Member(name: name, isHolder: false)) }
            }
        }
        return members
    }

    /// Tries to open it as a run would, but read-only, and lets go at once.
    ///
    /// Under the shared lock, so that it never disturbs a run that is just opening the disk. What cannot be opened for
    /// another reason is left for the real opening to report.
    private func probe(_ disk: DiskInfo) -> Obstacle? {
        guard blockDeviceNumber(disk.path) == disk.number,
            let lock = try? Descriptor(opening: disk.path, O_RDONLY | O_NONBLOCK)
        else { return nil }
        if cl_flock(lock.number, LOCK_SH | LOCK_NB) != 0 { return cl_errno() == EWOULDBLOCK ? .locked : nil }
        return withExtendedLifetime(lock) { () -> Obstacle? in
            do throws(SystemError) {
                _ = try Descriptor(opening: disk.path, O_RDONLY | O_NONBLOCK | O_EXCL)
                return nil
            } catch {
                return error.code == EBUSY ? .openedExclusively : nil
            }
        }
    }

    private func model(_ folder: String) -> String? {
        // SCSI, ATA and NVMe; then MMC.
        tree.text(folder + "/device/model") ?? tree.text(folder + "/device/name")
    }

    private func serial(_ folder: String) -> String? {
        // virtio; then NVMe and MMC.
        if let text = tree.text(folder + "/serial") ?? tree.text(folder + "/device/serial") { return text }
        // SCSI and ATA: vital product data page 0x80: type, page, length (two bytes), text (SPC-5 §7.7.18).
        guard let page = try? tree.bytes(of: folder + "/device/vpd_pg80", limitBytes: 65536), page.count > 4 else {
            return nil
        }
        let length = Int(page[2]) << 8 | Int(page[3])
        let text = trimmed(String(decoding: page[4...].prefix(length), as: UTF8.self))
        return text.isEmpty ? nil : text
    }

    private func dmaAlignment(_ folder: String) -> Int {
        let mask: Int = tree.number(folder + "/queue/dma_alignment") ?? 511
        return mask >= 0 && mask < 1 << 20 ? mask + 1 : 512
    }
}

private enum DiskKind { case candidate, bootArea, other }

/// Told from the kernel's name (Documentation/admin-guide/devices.txt).
private func kind(of name: String) -> DiskKind {
    if ["sd", "hd", "vd", "xvd"].contains(where: { name.hasPrefix($0) && isLetters(name.dropFirst($0.count)) }) {
        return .candidate
    }
    if name.hasPrefix("nvme") {
        let parts = name.dropFirst(4).split(separator: "n", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy(isDigits) ? .candidate : .other
    }
    guard name.hasPrefix("mmcblk") else { return .other }
    let rest = name.dropFirst(6).drop { $0.isASCII && $0.isWholeNumber }
    if rest.isEmpty { return .candidate }
    return rest.hasPrefix("boot") || rest == "rpmb" ? .bootArea : .other
}

/// One path of a multipath NVMe disk, such as nvme0c1n1: older kernels do not mark it hidden.
private func isNVMePath(_ name: String) -> Bool {
    name.hasPrefix("nvme") && name.dropFirst(4).contains("c")
}

private func isLetters(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }
}

private func isDigits(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
}
