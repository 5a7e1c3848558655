import FoundationEssentials
import Glibc
import StreamDisk

/// A child program in a process group of its own, with nothing on its standard input.
final class Child {
    /// The resources that an ended child used, including its own ended children (getrusage(2)).
    struct Usage {
        var seconds: Double
        var userSeconds: Double
        var systemSeconds: Double
        /// The peak of the largest single process.
        var peakMemoryBytes: UInt64
    }

    let processID: pid_t
    private let command: String
    private let begin: Double
    /// The read end of its standard output.
    private let output: Int32
    private let errors: Int32

    /// - Parameter arguments: the program, as a path or a name in PATH, and its arguments.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        command = arguments.joined(separator: " ")
        var pipeEnds: [Int32] = [-1, -1]
        guard unsafe pipe(&pipeEnds) == 0 else { throw BenchError("no pipe: \(SystemError(errno))") }
        for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        output = pipeEnds[0]
        // Errors go to an unnamed file: nothing needs to read them while the child runs.
        errors = try Self.unnamedFile()

        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, pipeEnds[1], 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)

        var variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        variables["LC_ALL"] = "C"
        variables["PATH"] = (variables["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"
        var processID: pid_t = 0
        begin = monotonicSeconds()
        let code = unsafe Self.withCStrings(arguments) { arguments in
            unsafe Self.withCStrings(variables.map { "\($0)=\($1)" }) { variables in
                guard let program = unsafe arguments[0] else { return EINVAL }
                return unsafe posix_spawnp(&processID, program, &actions, &attributes, arguments, variables)
            }
        }
        unsafe posix_spawn_file_actions_destroy(&actions)
        unsafe posix_spawnattr_destroy(&attributes)
        close(pipeEnds[1])
        self.processID = processID
        guard code == 0 else {
            close(output)
            close(errors)
            throw BenchError("\(arguments[0]) cannot be started: \(SystemError(code))")
        }
        Workspace.add(group: processID)
    }

    /// Passes its output to `body`, chunk by chunk, until it closes it.
    func readOutput(_ body: (UnsafeRawBufferPointer) -> Void) {
        let area = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { unsafe area.deallocate() }
        while true {
            let count = unsafe read(output, area.baseAddress, area.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return }
            unsafe body(UnsafeRawBufferPointer(rebasing: area[..<count]))
        }
    }

    /// Waits until it ends. Throws, with the end of its error output, if it failed.
    func wait() throws -> Usage {
        var status: Int32 = 0
        var usage = rusage()
        while unsafe wait4(processID, &status, 0, &usage) < 0 && errno == EINTR {}
        let seconds = monotonicSeconds() - begin
        Workspace.remove(group: processID)
        close(output)
        let words = unsafe Self.contents(errors)
        close(errors)
        guard status == 0 else {
            let how = status & 0x7f == 0 ? "exit code \(status >> 8 & 0xff)" : "signal \(status & 0x7f)"
            throw BenchError("\(command): \(how)\(words.isEmpty ? "" : ": " + words)")
        }
        return Usage(
            seconds: seconds, userSeconds: Self.seconds(usage.ru_utime), systemSeconds: Self.seconds(usage.ru_stime),
            peakMemoryBytes: UInt64(usage.ru_maxrss) << 10)
    }

    /// Runs a program until it ends. Returns its output and the resources it used.
    ///
    /// - Parameter started: called with its process ID once it runs.
    @discardableResult
    static func run(
        _ arguments: [String], environment: [String: String] = [:], started: (pid_t) throws -> Void = { _ in }
    ) throws -> (output: [UInt8], usage: Usage) {
        let child = try Child(arguments, environment: environment)
        try started(child.processID)
        var output: [UInt8] = []
        unsafe child.readOutput { unsafe output.append(contentsOf: $0) }
        return (output, try child.wait())
    }

    /// The first line that a program prints, without its newline; nil if it cannot be run.
    static func firstLine(_ arguments: [String]) -> String? {
        guard let output = try? run(arguments).output else { return nil }
        return String(decoding: output.prefix { $0 != 0x0a }, as: UTF8.self)
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func unnamedFile() throws -> Int32 {
        var template = Array("/tmp/stream-disk-bench-errors.XXXXXX".utf8CString)
        let file = unsafe template.withUnsafeMutableBufferPointer { area -> Int32 in
            guard let path = area.baseAddress else { return -1 }
            let file = unsafe mkstemp(path)
            unsafe unlink(path)
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
            return file
        }
        guard file >= 0 else { throw BenchError("/tmp: \(SystemError(errno))") }
        return file
    }

    @unsafe
    private static func contents(_ file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 2000)
        let count = unsafe pread(file, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        return text.split(separator: "\n").joined(separator: "; ")
    }

    /// Null-terminated C strings for the length of `body`.
    @unsafe
    private static func withCStrings<Value>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        // SAFETY: strdup's copies live until `body` has returned.
        let copies = unsafe strings.map { unsafe strdup($0) } + [nil]
        defer { unsafe copies.forEach { unsafe free($0) } }
        return unsafe body(copies)
    }
}

/// CLOCK_MONOTONIC, in seconds.
func monotonicSeconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
