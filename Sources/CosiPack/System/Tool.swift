import Glibc
import StreamDisk

/// Why a program gave no answer.
struct ToolFailure: Error, CustomStringConvertible {
    let program: String
    let reason: String
    /// Whether it is not installed.
    var isMissing = false
    /// Whether its output was more than asked for.
    var isTooLong = false

    var description: String { "\(program): \(reason)" }
}

/// Runs a program of this system, with bounds on its time and its output.
///
/// It has nothing on its standard input, an environment of our own, and no descriptors but those named here.
struct Tool {
    /// The number under which the program finds the descriptor that it is given; the name to open it by.
    static let descriptorPath = "/proc/self/fd/3"

    /// What it wrote, and how it ended.
    struct Output {
        let bytes: [UInt8]
        /// The end of what it said to standard error.
        let errors: String
        /// Its exit code; 128 + the signal that ended it.
        let code: Int32
    }

    let program: String
    var arguments: [String] = []
    /// Passed on as ``descriptorPath``.
    var descriptor: Int32?
    var outputBytesMax = 1 << 20
    /// Whether output beyond the limit is cut off; otherwise it is a failure.
    var isCut = false
    var timeoutSeconds = 30.0
    var cancellation: Cancellation?

    /// Whether the program is installed.
    var isThere: Bool { path != nil }

    private var path: String? {
        let own = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        return "\(own):/usr/sbin:/usr/bin:/sbin:/bin".split(separator: ":").map { "\($0)/\(program)" }
            .first { unsafe access($0, X_OK) == 0 && $0.hasPrefix("/") }
    }

    private static let environment = [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/", "MTOOLSRC=/dev/null", "MTOOLS_SKIP_CHECK=1",
        "MTOOLS_NO_VFAT=0", "DEBUGFS_PAGER=cat", "PAGER=cat",
    ]

    /// Blocks until the program has ended. Any exit code is a result.
    func run() throws(ToolFailure) -> Output {
        guard let path else {
            throw ToolFailure(program: program, reason: "it is not installed", isMissing: true)
        }
        var (output, errors) = (Pipe(), Pipe())
        defer {
            output.close()
            errors.close()
        }
        guard output.isOpen, errors.isOpen else { throw ToolFailure(program: program, reason: "no pipe") }
        let child = try spawn(path, output: output.write, errors: errors.write)
        output.closeWrite()
        errors.closeWrite()
        let deadline = Instant.after(seconds: timeoutSeconds)
        var (bytes, said): ([UInt8], [UInt8]) = ([], [])
        var failure: ToolFailure?
        var wasCut = false
        while output.isOpen || errors.isOpen {
            failure = interruption(deadline)
            if failure != nil { break }
            var wanted = [output.read, errors.read].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            unsafe poll(&wanted, 2, 50)
            if wanted[0].revents != 0 { output.readSome { bytes += $0 } }
            if wanted[1].revents != 0 { errors.readSome { said = Array((said + $0).suffix(2000)) } }
            guard bytes.count > outputBytesMax else { continue }
            wasCut = true
            bytes.removeLast(bytes.count - outputBytesMax)
            if !isCut { failure = ToolFailure(program: program, reason: "its output is too long", isTooLong: true) }
            break
        }
        if failure != nil || wasCut { kill(-child, SIGKILL) }
        let code = end(of: child, deadline, &failure)
        if let failure { throw failure }
        let words = String(decoding: said, as: UTF8.self)
        return Output(bytes: bytes, errors: words, code: wasCut ? 0 : code)
    }

    private func interruption(_ deadline: Instant) -> ToolFailure? {
        if cancellation?.isCancelled == true { return ToolFailure(program: program, reason: "interrupted") }
        if Instant.now < deadline { return nil }
        return ToolFailure(program: program, reason: "no answer within \(Int(timeoutSeconds)) s")
    }

    private func end(of child: pid_t, _ deadline: Instant, _ failure: inout ToolFailure?) -> Int32 {
        var status: Int32 = 0
        while true {
            let result = unsafe waitpid(child, &status, WNOHANG)
            if result == child { break }
            if result < 0, errno != EINTR { return 0 }
            if failure == nil, let late = interruption(deadline) {
                failure = late
                kill(-child, SIGKILL)
            }
            usleep(2000)
        }
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f)
    }

    private func spawn(_ path: String, output: Int32, errors: Int32) throws(ToolFailure) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // Last: one of the pipes may have this number until now.
        if let descriptor { unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, 3) }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        var child: pid_t = 0
        var words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        var variables = unsafe Self.environment.map { unsafe strdup($0) } + [nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        let code = unsafe posix_spawn(&child, path, &actions, &attributes, &words, &variables)
        guard code == 0 else { throw ToolFailure(program: program, reason: "it cannot be started: \(SystemError(code))") }
        return child
    }
}

/// Both ends of a pipe; -1 when closed.
private struct Pipe {
    var read: Int32 = -1
    var write: Int32 = -1

    init() {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (read, write) = (ends[0], ends[1])
    }

    var isOpen: Bool { read >= 0 }

    mutating func closeWrite() {
        if write >= 0 { _ = Glibc.close(write) }
        write = -1
    }

    mutating func close() {
        closeWrite()
        if read >= 0 { _ = Glibc.close(read) }
        read = -1
    }

    /// Closes the pipe at its end.
    mutating func readSome(_ body: ([UInt8]) -> Void) {
        // SAFETY: the kernel writes at most the area's count into it, and returns how much.
        let piece = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { area, count in
            count = max(unsafe Glibc.read(read, area.baseAddress, area.count), 0)
        }
        if piece.isEmpty { close() } else { body(piece) }
    }
}
