import CLinux
import Glibc

/// Which block devices are mounted or swapped onto, from /proc, and which loop devices lie over others, from /sys.
struct DiskUse: Sendable {
    /// The first mount point of each mounted device.
    var mountPoints: [DeviceNumber: String] = [:]
    var swaps: Set<DeviceNumber> = []
    /// The loop devices over a block device. The kernel does not count them among its holders, nor does their use keep others
    /// from opening the device exclusively.
    var loops: [DeviceNumber: [String]] = [:]
    /// Files that could not be read or understood: nothing can be said of any disk then.
    var unreadable: [String] = []

    /// The kernel allows 100,000 mounts a namespace by default (fs.mount-max).
    static let tableBytesMax = 64 << 20

    init(of tree: SystemTree) {
        readMounts(of: tree, "/proc/self/mountinfo")
        readSwaps(of: tree, "/proc/swaps")
        for name in tree.names(in: "/sys/class/block") where name.hasPrefix("loop") {
            // Absent where nothing is bound to it.
            guard let backing = tree.text("/sys/class/block/\(name)/loop/backing_file"),
                let number = tree.number(ofDevice: backing)
            else { continue }
            loops[number, default: []].append(name)
        }
    }

    private mutating func readMounts(of tree: SystemTree, _ file: String) {
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

    private mutating func readSwaps(of tree: SystemTree, _ file: String) {
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
            // A swap file needs no look: the file system it lies on is mounted.
            if let number = tree.number(ofDevice: path) { swaps.insert(number) }
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
