import CLinux
import Glibc

/// Which block devices and files are in use and for what (from /proc), and which loop devices are backed by them (from /sys).
struct DiskUse: Sendable {
    /// The first mount point of each mounted device.
    var mountPoints: [DeviceNumber: String] = [:]
    /// The mounted devices whose file systems may write to them. A read-only bind mount does not stop that.
    var writable: Set<DeviceNumber> = []
    var swaps: Set<DeviceNumber> = []
    var swapFiles: Set<FileIdentity> = []
    /// The loop devices backed by each block device. The kernel does not list them as holders, and their use does not prevent
    /// an exclusive open of the block device.
    var loops: [DeviceNumber: [String]] = [:]
    /// The loop devices backed by each regular file.
    var fileLoops: [FileIdentity: [String]] = [:]
    /// Locks that others hold on a file or device node, by flock(2) or fcntl(2). Empty if they were not requested.
    var locks: [FileIdentity: [DiskRejection]] = [:]
    /// The links below /dev/disk that lead to each device.
    var links: [DeviceNumber: [String]] = [:]
    /// Files that could not be read or parsed. If there are any, the use of every disk is unknown.
    var unreadable: [String] = []

    /// The default limit is 100,000 mounts per namespace (fs.mount-max).
    static let tableBytesMax = 64 << 20

    /// - Parameter withLocks: set for a list only. Opening a disk detects locks anyway, and reading /proc/locks is slow: the
    ///   kernel blocks all lock changes meanwhile, which takes some 10 ms (percpu_down_write, in fs/locks.c).
    init(of tree: HostFiles, withLocks: Bool) {
        readMounts(of: tree, "/proc/self/mountinfo")
        readSwaps(of: tree, "/proc/swaps")
        if withLocks { readLocks(of: tree, "/proc/locks") }
        for loop in LoopBacking.all(of: tree) {
            if let device = loop.device { loops[device, default: []].append(loop.name) }
            if let file = loop.file { fileLoops[file, default: []].append(loop.name) }
        }
        for folder in tree.names(in: "/dev/disk") where folder.hasPrefix("by-") {
            for name in tree.names(in: "/dev/disk/\(folder)") {
                let link = "/dev/disk/\(folder)/\(name)"
                if let number = tree.number(ofDevice: link) { links[number, default: []].append(link) }
            }
        }
    }

    /// The locks that others hold on the node at `path`, determined without opening it.
    func locks(onNodeAt path: String) -> [DiskRejection] {
        FileIdentity(at: path).flatMap { locks[$0] } ?? []
    }

    private mutating func readMounts(of tree: HostFiles, _ file: String) {
        guard let bytes = try? tree.bytes(of: file, limitBytes: Self.tableBytesMax) else {
            unreadable.append(file)
            return
        }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let mount = MountLine(line) else {
                unreadable.append(file)
                return
            }
            // btrfs and others have anonymous device numbers, 0:N. Their device is known by its path only.
            var number: DeviceNumber? = mount.number
            if mount.number.major == 0 {
                number = mount.source.hasPrefix("/dev/") ? tree.number(ofDevice: mount.source) : nil
            }
            guard let number else { continue }
            if mountPoints[number] == nil { mountPoints[number] = mount.mountPoint }
            if !mount.isReadOnly { writable.insert(number) }
        }
    }

    private mutating func readSwaps(of tree: HostFiles, _ file: String) {
        let bytes: [UInt8]
        do {
            bytes = try tree.bytes(of: file, limitBytes: Self.tableBytesMax)
        } catch {
            // A kernel without swap support has no such file.
            if error.code != ENOENT { unreadable.append(file) }
            return
        }
        for line in bytes.split(separator: UInt8(ascii: "\n")).dropFirst() {
            let path = unescaped(line.prefix { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") })
            if let number = tree.number(ofDevice: path) {
                swaps.insert(number)
            } else if let file = FileIdentity(at: tree.prefix + path) {
                swapFiles.insert(file)
            }
        }
    }

    /// proc_locks(5): `1: FLOCK ADVISORY WRITE 708 00:05:11 0 EOF`. Opening the disk detects locks, too. So if the file cannot
    /// be read, a list only lacks a reason.
    private mutating func readLocks(of tree: HostFiles, _ file: String) {
        let bytes = (try? tree.bytes(of: file, limitBytes: Self.tableBytesMax)) ?? []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            // A waiting request has an arrow before its type.
            guard fields.count >= 6 else { continue }
            let lock: DiskRejection
            switch fields[1] {
            case "FLOCK": lock = .locked
            case "POSIX", "OFDLCK": lock = .byteLocked
            default: continue
            }
            let place = fields[5].split(separator: ":")
            guard place.count == 3, let major = UInt32(place[0], radix: 16), let minor = UInt32(place[1], radix: 16),
                let inode = UInt64(place[2])
            else { continue }
            let identity = FileIdentity(device: DeviceNumber(major: major, minor: minor), inode: inode)
            if locks[identity]?.contains(lock) != true { locks[identity, default: []].append(lock) }
        }
    }
}

/// A line of /proc/self/mountinfo (proc(5)).
struct MountLine: Equatable {
    let number: DeviceNumber
    let mountPoint: String
    let source: String
    /// The file system itself, not only this mount of it.
    let isReadOnly: Bool

    init?(_ line: ArraySlice<UInt8>) {
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        // Six fields, any number of optional ones, "-", then type, source and options.
        guard fields.count >= 10, let number = DeviceNumber(String(decoding: fields[2], as: UTF8.self)),
            let separator = fields[6...].firstIndex(where: { $0.elementsEqual([UInt8(ascii: "-")]) }),
            separator + 2 < fields.count
        else { return nil }
        self.number = number
        mountPoint = unescaped(fields[4])
        source = unescaped(fields[separator + 2])
        let options = separator + 3 < fields.count ? fields[separator + 3] : []
        isReadOnly = options.split(separator: UInt8(ascii: ",")).contains { $0.elementsEqual("ro".utf8) }
    }
}

/// Decodes the kernel's octal escapes: space, tab, newline and backslash are written `\040` and so on.
private func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
    var plain: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        guard byte == UInt8(ascii: "\\"), digits.count == 3,
            digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "7") })
        else {
            plain.append(byte)
            continue
        }
        let value = digits.reduce(0) { $0 * 8 + Int($1 - UInt8(ascii: "0")) }
        plain.append(UInt8(truncatingIfNeeded: value))
        rest = rest.dropFirst(3)
    }
    return String(decoding: plain, as: UTF8.self)
}
