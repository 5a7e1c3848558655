import Glibc

/// The command that reboots this machine.
struct RebootCommand {
    struct Failed: Error {
        let description: String
    }

    /// The program, by its path or as PATH has it, and its arguments.
    let words: [String]
    /// How long the machine may take to go down after the command succeeded. 0: nobody waits.
    let waitSeconds: UInt32

    /// So long the command itself may take at least.
    private static let commandSecondsMin: UInt32 = 60

    /// Returns when nobody is to wait; otherwise the machine goes down first, or `Failed` says that it does not.
    func run() throws(Failed) {
        let name = words.joined(separator: " ")
        let status = try spawn(name)
        guard status == 0 else { throw Failed(description: "The reboot command '\(name)' failed (wait status \(status))") }
        guard waitSeconds > 0 else { return }
        // Signals other than those that end the process do not wake it.
        var left = waitSeconds
        while left > 0 { left = sleep(left) }
        throw Failed(description: "The machine is still up \(waitSeconds) seconds after '\(name)'")
    }

    /// Runs it to its end and returns its wait status (waitpid(2)).
    private func spawn(_ name: String) throws(Failed) -> Int32 {
        // SAFETY: the copies live until the child was made, which has its own then; the last element is nil, as C wants it.
        let arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var attributes = posix_spawnattr_t()
        var defaults = sigset_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // This program ignores SIGPIPE; the command must not inherit that.
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var child = pid_t()
        let code = unsafe posix_spawnp(&child, words[0], nil, &attributes, arguments, environ)
        guard code == 0 else {
            throw Failed(description: "The reboot command '\(name)' cannot be started: \(unsafe String(cString: strerror(code)))")
        }
        var status: Int32 = 0
        for _ in 0..<(max(waitSeconds, Self.commandSecondsMin) * 20) {
            let ended = unsafe waitpid(child, &status, WNOHANG)
            if ended == child { return status }
            guard ended == 0 || errno == EINTR else { break }
            usleep(50_000)
        }
        kill(child, SIGKILL)
        throw Failed(description: "The reboot command '\(name)' does not end")
    }
}
