import CLinux
import Glibc
import StreamDisk

/// The files of a file system that only the kernel reads: by a read-only mount that is in no mount namespace, so that nobody else
/// sees it, over a read-only loop device. Both go with this value. Takes root.
final class MountedFiles: FileTree {
    /// What keeps the kernel from writing and from replaying a journal, by file system.
    static let options: [String: [(key: String, value: String?)]] = [
        "xfs": [("norecovery", nil), ("nouuid", nil)], "btrfs": [("rescue", "nologreplay")], "erofs": [], "squashfs": [],
        "f2fs": [("norecovery", nil)],
    ]
    private static let loopTries = 8
    private static let namesMax = 10_000

    /// The mount itself.
    private let root: Int32

    init(_ source: Int32, _ partition: SystemPartition, type: String) throws(ToolFailure) {
        func failure(_ reason: String) -> ToolFailure {
            let cause = SystemError(errno)
            let advice = geteuid() == 0 ? "" : "; that takes root"
            return ToolFailure(
                program: "partition \(partition.number)", reason: "the \(type) file system \(reason): \(cause)\(advice)")
        }
        guard geteuid() == 0 else {
            errno = EPERM
            throw failure("cannot be mounted to be read")
        }
        var loop: Descriptor?
        var path = ""
        for _ in 0..<Self.loopTries where loop == nil {
            guard let control = try? Descriptor(opening: "/dev/loop-control", O_RDWR) else {
                throw failure("cannot have a loop device")
            }
            let number = cl_loop_free(control.number)
            guard number >= 0 else { throw failure("cannot have a loop device") }
            path = "/dev/loop\(number)"
            guard let device = try? Descriptor(opening: path, O_RDONLY) else { throw failure("cannot have a loop device") }
            if cl_loop_read_only(device.number, source, partition.offsetBytes, partition.sizeBytes) == 0 {
                loop = consume device
            } else if errno != EBUSY {
                throw failure("cannot have a loop device")
            }
        }
        guard loop != nil else { throw failure("cannot have a loop device") }
        let context = unsafe cl_fsopen(type)
        guard context >= 0 else { throw failure("is not known to this kernel") }
        defer { close(context) }
        var isRight = unsafe cl_fsconfig_text(context, "source", path) == 0 && cl_fsconfig_flag(context, "ro") == 0
        for (key, value) in Self.options[type] ?? [] where isRight {
            if let value {
                isRight = unsafe cl_fsconfig_text(context, key, value) == 0
            } else {
                isRight = unsafe cl_fsconfig_flag(context, key) == 0
            }
        }
        guard isRight, cl_fsconfig_create(context) == 0 else { throw failure("cannot be mounted to be read") }
        let mount = cl_fsmount_read_only(context)
        guard mount >= 0 else { throw failure("cannot be mounted to be read") }
        root = mount
    }

    deinit { close(root) }

    func contents(of path: String, limitBytes: Int, isCut: Bool) throws(ToolFailure) -> [UInt8]? {
        guard let file = open(path, O_RDONLY | O_NONBLOCK) else { return nil }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let size = Int(status.st_size)
        guard size <= limitBytes || isCut else {
            throw ToolFailure(program: path, reason: "it is longer than \(limitBytes) bytes", isTooLong: true)
        }
        let reader = PartitionReader(descriptor: file, offsetBytes: 0, sizeBytes: UInt64(size))
        var bytes: [UInt8] = []
        do throws(MapFailure) {
            while bytes.count < min(size, limitBytes) {
                let count = min(PartitionReader.bytesMax, min(size, limitBytes) - bytes.count)
                bytes += try reader.read(UInt64(bytes.count), count: count)
            }
        } catch {
            throw ToolFailure(program: path, reason: "\(error)")
        }
        return bytes
    }

    func names(in folder: String) throws(ToolFailure) -> [String] {
        guard let file = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY) else { return [] }
        guard let stream = unsafe fdopendir(file) else {
            close(file)
            return []
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while names.count < Self.namesMax, let entry = unsafe readdir(stream) {
            // SAFETY: the entry and its NUL-terminated name are valid until the next call on this folder.
            guard let name = unsafe cl_entry_name(entry).map({ unsafe String(cString: $0) }) else { continue }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Links stay inside the file system, whatever they say.
    private func open(_ path: String, _ flags: Int32) -> Int32? {
        let file = unsafe cl_open_below(root, path, UInt64(flags | O_CLOEXEC))
        return file >= 0 ? file : nil
    }
}
