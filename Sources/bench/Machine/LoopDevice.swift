import Glibc

/// A loop device over a file of its own, gone with this process.
///
/// As soon as it is open, it is detached and its file unlinked: while the descriptor is open the kernel keeps both, and
/// removes both with the last one (losetup(8), lazy device destruction).
struct LoopDevice: ~Copyable {
    let path: String
    private let descriptor: Int32

    /// - Parameters:
    ///   - folder: where the backing file lies.
    ///   - isDirect: direct I/O on the backing file.
    init(in folder: String, sizeBytes: UInt64, blockBytes: Int, isDirect: Bool) throws {
        let file = folder + "/disk"
        let handle = open(file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard handle >= 0, ftruncate(handle, off_t(sizeBytes)) == 0 else { throw BenchError("\(file) cannot be made") }
        close(handle)
        defer { unlink(file) }
        let output = try Child.run([
            "losetup", "--find", "--show", "--sector-size", "\(blockBytes)",
            "--direct-io=\(isDirect ? "on" : "off")", file,
        ]).output
        let path = String(decoding: output, as: UTF8.self).filter { !$0.isWhitespace }
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        // Detached also when it could not be opened, and then at once.
        try Child.run(["losetup", "--detach", path])
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be opened") }
        let name = path.dropFirst("/dev/".count)
        guard let direct = try? readText("/sys/block/\(name)/loop/dio"), direct.hasPrefix("1") == isDirect else {
            throw BenchError("\(path): direct I/O could not be turned \(isDirect ? "on" : "off") for a file in \(folder)")
        }
    }

    deinit { close(descriptor) }
}
