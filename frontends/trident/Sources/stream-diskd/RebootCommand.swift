import Glibc

/// The program that restarts the machine.
struct RebootCommand: Sendable {
    let words: [String]

    /// It only has to ask for the restart, which then ends this daemon, too.
    private static let secondsMax = 60

    /// Runs it and waits for its end.
    ///
    /// - Returns: what went wrong; nil if it succeeded.
    func run() async -> String? {
        var child = pid_t()
        guard let failure = spawn(&child) else { return await wait(for: child) }
        return "\(words[0]): \(unsafe String(cString: strerror(failure)))"
    }

    /// - Returns: an errno; nil for success.
    private func spawn(_ child: inout pid_t) -> Int32? {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // The daemon blocks the signals that stop it and ignores others; the command shall not.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        var ignored = sigset_t()
        unsafe sigemptyset(&ignored)
        for number in [SIGPIPE, SIGXFSZ] { unsafe sigaddset(&ignored, number) }
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &ignored)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        // SAFETY: strdup's copies are freed below, after the call, which copies them.
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        let code = unsafe posix_spawnp(&child, words[0], nil, &attributes, &arguments, environ)
        return code == 0 ? nil : code
    }

    private func wait(for child: pid_t) async -> String? {
        for _ in 0..<Self.secondsMax * 10 {
            var status: Int32 = 0
            let ended = unsafe waitpid(child, &status, WNOHANG)
            if ended == child {
                if status == 0 { return nil }
                let signal = status & 0x7f
                return signal == 0
                    ? "\(words[0]) ended with exit code \(status >> 8 & 0xff)" : "\(words[0]) ended by signal \(signal)"
            }
            if ended < 0, errno != EINTR { return "\(words[0]): \(errorText())" }
            try? await Task.sleep(for: .milliseconds(100))
        }
        kill(child, SIGKILL)
        var status: Int32 = 0
        unsafe waitpid(child, &status, 0)
        return "\(words[0]) did not end within \(Self.secondsMax) s"
    }
}
