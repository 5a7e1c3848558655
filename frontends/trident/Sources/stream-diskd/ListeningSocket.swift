import Glibc

/// The Unix socket that clients connect to.
struct ListeningSocket: Sendable {
    let descriptor: Int32
    /// Where it was bound, and which file that is; nil for a socket of the service manager, which removes it itself.
    private let file: (path: String, identity: FileIdentity)?

    private struct FileIdentity: Equatable, Sendable {
        let device: dev_t
        let inode: ino_t

        init?(_ path: String) {
            var status = stat()
            guard unsafe lstat(path, &status) == 0 else { return nil }
            (device, inode) = (status.st_dev, status.st_ino)
        }
    }

    /// For messages.
    var name: String { file?.path ?? "a socket of the service manager" }

    private static let backlog: Int32 = 128
    /// So long another daemon may take to bind its socket in the same folder.
    private static let lockSeconds = 5

    /// Takes a socket that is listening already.
    init(inherited descriptor: Int32) throws(SetUpError) {
        let facts = [(SO_DOMAIN, AF_UNIX), (SO_TYPE, Int32(SOCK_STREAM.rawValue)), (SO_ACCEPTCONN, 1)]
        for (option, wanted) in facts where Self.option(option, of: descriptor) != wanted {
            throw SetUpError("descriptor \(descriptor) of the service manager is no Unix stream socket that listens")
        }
        self.descriptor = descriptor
        file = nil
    }

    /// Makes the socket, and the folder that it is in. Only its owner may connect. Replaces a socket that nobody listens on.
    ///
    /// Call it before any thread starts: it changes the umask for a moment.
    init(bindingTo path: String) throws(SetUpError) {
        guard let address = UnixAddress(path) else { throw SetUpError("--socket \(path): too long for a Unix socket") }
        let folder = Self.folder(of: path)
        try Self.make(folder)
        // Two daemons that start at once must not take each other's new socket for a stale one.
        let lock = try Self.lock(folder)
        defer { _ = close(lock) }
        try Self.removeStale(path, address)

        let descriptor = try Self.socket(path)
        // Bound with these rights, and so never open to others, not even for a moment.
        let before = umask(0o177)
        let result = unsafe address.with { unsafe bind(descriptor, $0, $1) }
        let reason = errorText()
        umask(before)
        guard result == 0 else { throw SetUpError("cannot bind \(path): \(reason)") }
        guard listen(descriptor, Self.backlog) == 0, let identity = FileIdentity(path) else {
            throw SetUpError("cannot listen on \(path): \(errorText())")
        }
        self.descriptor = descriptor
        file = (path, identity)
    }

    /// Removes the socket's file, if it is still this socket's.
    func remove() {
        guard let file, FileIdentity(file.path) == file.identity else { return }
        unsafe unlink(file.path)
    }

    // MARK: Steps

    private static func option(_ option: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : nil
    }

    private static func socket(_ path: String) throws(SetUpError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw SetUpError("cannot make the socket \(path): \(errorText())") }
        return descriptor
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// mkdir -p
    private static func make(_ folder: String) throws(SetUpError) {
        var status = stat()
        if unsafe stat(folder, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw SetUpError("\(folder) is no folder: --socket names a file in one")
            }
            return
        }
        if folder.contains("/") { try make(Self.folder(of: folder)) }
        guard unsafe mkdir(folder, 0o755) == 0 || errno == EEXIST else {
            throw SetUpError("cannot make the folder \(folder): \(errorText())")
        }
    }

    /// The folder, locked until it is closed.
    private static func lock(_ folder: String) throws(SetUpError) -> Int32 {
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SetUpError("cannot open the folder \(folder): \(errorText())") }
        for _ in 0..<lockSeconds * 10 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return descriptor }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(100_000)
        }
        throw SetUpError("cannot lock the folder \(folder): \(errorText())")
    }

    private static func removeStale(_ path: String, _ address: UnixAddress) throws(SetUpError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw SetUpError("\(path) is there and is no socket: remove it, or name another path with --socket")
        }
        let descriptor = try socket(path)
        defer { _ = close(descriptor) }
        if unsafe address.with({ unsafe connect(descriptor, $0, $1) }) == 0 || errno == EAGAIN {
            throw SetUpError("another daemon listens on \(path): stop it first, or name another path with --socket")
        }
        guard errno == ECONNREFUSED else { throw SetUpError("cannot tell whether anybody listens on \(path): \(errorText())") }
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw SetUpError("cannot remove \(path): \(errorText())") }
    }
}
