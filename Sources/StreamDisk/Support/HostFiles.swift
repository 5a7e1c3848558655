import CLinux
import Glibc

/// /sys, /proc and /dev of this host, or of a folder laid out like them.
struct HostFiles: Sendable {
    /// The root folder without a trailing slash; empty for the host itself.
    let prefix: String

    init(root: String) {
        prefix = String(root.reversed().drop { $0 == "/" }.reversed())
    }

    /// The contents of a file. Throws EFBIG if they exceed `limitBytes`.
    func bytes(of path: String, limitBytes: Int) throws(SystemError) -> [UInt8] {
        let file = try Descriptor(opening: prefix + path, O_RDONLY | O_NONBLOCK)
        return try file.readAll(limitBytes: limitBytes)
    }

    /// The contents of a small text file, trimmed; nil if it cannot be read or is empty.
    func text(_ path: String) -> String? {
        guard let bytes = try? bytes(of: path, limitBytes: 65536) else { return nil }
        let text = trimmed(String(decoding: bytes, as: UTF8.self))
        return text.isEmpty ? nil : text
    }

    func number<Value: FixedWidthInteger>(_ path: String) -> Value? {
        text(path).flatMap { Value($0) }
    }

    /// The contents of a file with a device number, such as `dev` of each block device in sysfs.
    func deviceNumber(_ path: String) -> DeviceNumber? { text(path).flatMap { DeviceNumber($0) } }

    func exists(_ path: String) -> Bool {
        unsafe access(prefix + path, F_OK) == 0
    }

    /// The names in a directory without `.` and `..`, sorted; empty if it cannot be read.
    func names(in path: String) -> [String] {
        guard let directory = unsafe opendir(prefix + path) else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            // SAFETY: the entry and its NUL-terminated name are valid until the next call on this directory.
            guard let name = unsafe cl_entry_name(entry).map({ unsafe String(cString: $0) }) else { continue }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The last path component of a symbolic link's target.
    func linkName(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        // SAFETY: readlink writes at most the buffer's own count.
        let count = unsafe buffer.withUnsafeMutableBytes { area -> Int in
            guard let base = area.baseAddress else { return -1 }
            return unsafe readlink(prefix + path, base, area.count)
        }
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "/").last.map(String.init)
    }

    /// The path without symbolic links; nil if it does not exist.
    func resolved(_ path: String) -> String? {
        guard let text = unsafe realpath(prefix + path, nil) else { return nil }
        defer { unsafe free(text) }
        // SAFETY: realpath returned a NUL-terminated string that this function must free.
        return unsafe String(cString: text)
    }

    /// The name of a block device in sysfs.
    func name(of number: DeviceNumber) -> String? { linkName("/sys/dev/block/\(number)") }

    /// The names of all block devices, including partitions.
    func blockDevices() -> [String] { names(in: "/sys/class/block") }

    /// The names of a disk's partitions. The kernel forms them from the disk's name and a number (block/partitions/core.c).
    func partitions(of disk: String) -> [String] {
        let folder = "/sys/class/block/\(disk)"
        return names(in: folder).filter { $0.hasPrefix(disk) && exists("\(folder)/\($0)/partition") }
    }

    /// The number of the block device whose node is at `path`.
    ///
    /// If there is no node (in a container or a made-up tree), the last path component is looked up in sysfs.
    func number(ofDevice path: String) -> DeviceNumber? {
        if let number = blockDeviceNumber(prefix + path) { return number }
        guard path.hasPrefix("/dev/") else { return nil }
        let name = linkName(path) ?? path.split(separator: "/").last.map(String.init)
        return name.flatMap { deviceNumber("/sys/class/block/\($0)/dev") }
    }
}

/// The number of the block device whose node is at `path`; nil if there is none, or it is not a block device.
func blockDeviceNumber(_ path: String) -> DeviceNumber? {
    var status = stat()
    guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return nil }
    return DeviceNumber(status.st_rdev)
}

/// The text without leading and trailing white space and NULs, with which hardware pads its names.
func trimmed(_ text: String) -> String {
    // Works on bytes: files in /proc are long, and no such byte is part of another character in UTF-8.
    let bytes = text.utf8
    guard let first = bytes.firstIndex(where: { $0 > 0x20 }), let last = bytes.lastIndex(where: { $0 > 0x20 }) else { return "" }
    return String(Substring(bytes[first...last]))
}

/// The text between separators, each an ASCII character; empty pieces are left out. Works on bytes: in files of /proc with
/// hundreds of lines, that is many times faster than `split` on characters.
func pieces(of text: some StringProtocol, at separator: Unicode.Scalar) -> [Substring] {
    Substring(text).utf8.split(separator: UInt8(ascii: separator)).map { Substring($0) }
}
