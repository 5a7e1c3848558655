import CLinux
import Glibc

/// Which block devices and files are in use and for what, from /proc, and which loop devices lie over others, from /sys.
struct DiskUse: Sendable {
    /// The first mount point of each mounted device.
    var mountPoints: [DeviceNumber: String] = [:]
    var swaps: Set<DeviceNumber> = []
    var swapFiles: Set<FileIdentity> = []
    /// The loop devices over a block device. The kernel does not count them among its holders, nor does their use keep others
    /// from opening the device exclusively.
    var loops: [DeviceNumber: [String]] = [:]
    /// The loop devices over a regular file.
    var fileLoops: [FileIdentity: [String]] = [:]
    /// What others hold on a file or a node, by flock(2) or fcntl(2); empty where it was not asked for.
    var locks: [FileIdentity: [DiskRejection]] = [:]
    /// The names under /dev/disk that lead to a device.
    var links: [DeviceNumber: [String]] = [:]
    /// Files that could not be read or understood: nothing can be said of any disk then.
    var unreadable: [String] = []

    /// The kernel allows 100,000 mounts a namespace by default (fs.mount-max).
    static let tableBytesMax = 64 << 20

    /// - Parameter withLocks: for a list. An opening finds locks out by itself, and /proc/locks is slow: the kernel keeps every
    ///   processor from changing one while it is read, and waits for that some 10 ms (percpu_down_write, in fs/locks.c).
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

    /// What others have locked of what lies at `path`, seen without opening it.
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
            // btrfs and others number their mounts 0:N; the device is then only named.
            var number: DeviceNumber? = mount.number
            if mount.number.major == 0 {
                number = mount.source.hasPrefix("/dev/") ? tree.number(ofDevice: mount.source) : nil
            }
            if let number, mountPoints[number] == nil { mountPoints[number] = mount.mountPoint }
        }
    }

    private mutating func readSwaps(of tree: HostFiles, _ file: String) {
        let bytes: [UInt8]
        do {
            bytes = try tree.bytes(of: file, limitBytes: Self.tableBytesMax)
        } catch {
            // A kernel without swap has no such file.
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

    /// proc_locks(5): `1: FLOCK ADVISORY WRITE 708 00:05:11 0 EOF`. It only adds to what opening finds out; where it cannot be
    /// read, nothing is missing but a word in a list.
    private mutating func readLocks(of tree: HostFiles, _ file: String) {
        let bytes = (try? tree.bytes(of: file, limitBytes: Self.tableBytesMax)) ?? []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            // One that is still waited for has an arrow before its kind.
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

    init?(_ line: ArraySlice<UInt8>) {
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        // Six fields, any number of optional ones, "-", and then type, source and options.
        guard fields.count >= 10, let number = DeviceNumber(String(decoding: fields[2], as: UTF8.self)),
            let separator = fields[6...].firstIndex(where: { $0.elementsEqual([UInt8(ascii: "-")]) }),
            separator + 2 < fields.count
        else { return nil }
        self.number = number
        mountPoint = unescaped(fields[4])
        source = unescaped(fields[separator + 2])
    }
}

/// Undoes the kernel's octal escapes: space, tab, newline and backslash are written `\040` and so on.
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
