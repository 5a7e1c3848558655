import CLinux
import Glibc
import StreamDisk

/// A file that appears whole or not at all: it has no name until ``commit()``, or, where the file system has no files without
/// one, a name that begins with a dot. Without `commit` nothing of it is left.
final class OutputFile {
    private let path: String
    private let folder: String
    private let replaces: Bool
    private let file: Descriptor
    /// The name it has for now.
    private var temporaryPath: String?

    var number: Int32 { file.number }

    init(_ output: PackOutput) throws(PackError) {
        path = output.path
        replaces = output.replaces
        let slash = output.path.utf8.lastIndex(of: UInt8(ascii: "/"))
        folder = slash.map { String(output.path[...$0]) } ?? "./"
        try Self.checkTarget(output)
        do throws(SystemError) {
            if let unnamed = try Self.openWithoutName(in: folder) {
                file = unnamed
            } else {
                let temporary = Self.temporaryName(output.path, in: folder)
                file = try Descriptor(opening: temporary, O_CREAT | O_EXCL | O_RDWR, mode: 0o666)
                temporaryPath = temporary
            }
        } catch {
            throw .write(path: output.path, operation: "make", cause: error)
        }
    }

    deinit {
        if let temporaryPath { unsafe unlink(temporaryPath) }
    }

    /// What has the name already is a regular file that may be replaced.
    private static func checkTarget(_ output: PackOutput) throws(PackError) {
        var status = stat()
        guard unsafe lstat(output.path, &status) == 0 else { return }
        guard output.replaces else { throw .exists(path: output.path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: output.path) }
    }

    /// Nil on a file system that has no such files.
    private static func openWithoutName(in folder: String) throws(SystemError) -> Descriptor? {
        do throws(SystemError) {
            return try Descriptor(opening: folder, cl_O_TMPFILE | O_RDWR, mode: 0o666)
        } catch {
            // open(2): EISDIR from a kernel that does not know the flag.
            guard [EOPNOTSUPP, EISDIR, EINVAL].contains(error.code) else { throw error }
            return nil
        }
    }

    private static func temporaryName(_ path: String, in folder: String) -> String {
        let name = path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(decoding: $0.prefix(200), as: UTF8.self) }
        return folder + ".\(name ?? "image").\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    }

    /// Whether `other` is the file that has the name now.
    func isTarget(_ other: Int32) -> Bool {
        var (target, status) = (stat(), stat())
        return unsafe stat(path, &target) == 0 && fstat(other, &status) == 0 && target.st_dev == status.st_dev
            && target.st_ino == status.st_ino
    }

    func write(_ bytes: RawSpan, at offset: UInt64) throws(PackError) {
        // SAFETY: the pointer is used only inside the closure, with the count from there to the area's end.
        let failure = unsafe bytes.withUnsafeBytes { area -> SystemError? in
            var done = 0
            while let base = area.baseAddress, done < area.count {
                let result = unsafe pwrite(file.number, base + done, area.count - done, off_t(offset) + off_t(done))
                if result < 0 {
                    let cause = SystemError.current
                    if cause.code == EINTR { continue }
                    return cause
                }
                done += result
            }
            return nil
        }
        if let failure { throw .write(path: path, operation: "write", cause: failure) }
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws(PackError) {
        // SAFETY: a UInt8 has no padding.
        try write(unsafe bytes.span.bytes, at: offset)
    }

    /// Writes what the kernel has of it to the disk.
    func flush() throws(PackError) {
        if fdatasync(file.number) != 0 { throw .write(path: path, operation: "flush", cause: .current) }
    }

    /// Gives it its name, for good.
    func commit() throws(PackError) {
        if fsync(file.number) != 0 { throw .write(path: path, operation: "flush", cause: .current) }
        if temporaryPath == nil {
            let temporary = Self.temporaryName(path, in: folder)
            // open(2), O_TMPFILE: how a file without a name gets one, without a privilege.
            let code = unsafe linkat(
                AT_FDCWD, "/proc/self/fd/\(file.number)", AT_FDCWD, temporary, AT_SYMLINK_FOLLOW)
            if code != 0 { throw .write(path: path, operation: "name", cause: .current) }
            temporaryPath = temporary
        }
        guard let temporaryPath else { return }
        if unsafe (replaces ? rename(temporaryPath, path) : cl_rename_no_replace(temporaryPath, path)) != 0 {
            let cause = SystemError.current
            if cause.code == EEXIST { throw .exists(path: path) }
            // A file system that knows no such flag.
            guard !replaces, cause.code == EINVAL, unsafe link(temporaryPath, path) == 0 else {
                throw .write(path: path, operation: "name", cause: cause)
            }
            unsafe unlink(temporaryPath)
        }
        self.temporaryPath = nil
        // So that the name outlives a power cut. Some file systems refuse it and need none.
        guard let folder = try? Descriptor(opening: folder, O_RDONLY | O_DIRECTORY) else { return }
        fsync(folder.number)
    }
}
