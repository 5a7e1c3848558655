import Glibc

/// Loop devices over files of their own, which disappear with this process.
enum LoopDevice {
    /// Makes a loop device and keeps it open. Once open, it is detached and its file unlinked: the kernel keeps both until the
    /// last descriptor is closed, which happens when this process ends, however it ends (losetup(8), lazy destruction).
    ///
    /// - Parameters:
    ///   - folder: the folder of the backing file.
    ///   - isDirect: whether the backing file uses direct I/O.
    /// - Returns: its path.
    static func make(in folder: String, sizeBytes: UInt64, blockBytes: Int, isDirect: Bool) throws -> String {
        let file = folder + "/disk"
        let handle = unsafe open(file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard handle >= 0, ftruncate(handle, off_t(sizeBytes)) == 0 else { throw BenchError("\(file) cannot be made") }
        close(handle)
        defer { unsafe unlink(file) }
        let output = try Child.run([
            "losetup", "--find", "--show", "--sector-size", "\(blockBytes)",
            "--direct-io=\(isDirect ? "on" : "off")", file,
        ]).output
        let path = String(decoding: output, as: UTF8.self).filter { !$0.isWhitespace }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        // If it could not be opened, it is detached immediately.
        try Child.run(["losetup", "--detach", path])
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be opened") }
        let name = path.dropFirst("/dev/".count)
        guard let direct = try? readText("/sys/block/\(name)/loop/dio"), direct.hasPrefix("1") == isDirect else {
            throw BenchError(
                "\(path): direct I/O could not be turned \(isDirect ? "on" : "off") for a file in \(folder)")
        }
        return path
    }
}
