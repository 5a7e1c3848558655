import Glibc

/// Blocks the signals that a write can raise on its thread: SIGPIPE for a closed connection, and SIGXFSZ for a file that may not
/// grow (setrlimit(2)). The write also returns an error for each, and the process's own dispositions stay untouched.
///
/// Create and restore it on the same thread.
package struct BlockedSignals {
    private let before: sigset_t
    private let isPendingBefore: [Bool]

    /// Blocks the signals on this thread.
    package init() {
        var (blocked, before) = (SignalSets.ofWrites, sigset_t())
        isPendingBefore = Self.pending
        unsafe pthread_sigmask(SIG_BLOCK, &blocked, &before)
        self.before = before
    }

    /// Discards the signals that arrived since, and restores the signal mask.
    package func restore() {
        for (index, isPending) in Self.pending.enumerated() where isPending && !isPendingBefore[index] {
            var signal = SignalSets.of([SignalSets.writeSignals[index]])
            var now = timespec()
            while unsafe sigtimedwait(&signal, nil, &now) < 0, errno == EINTR {}
        }
        var before = before
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    private static var pending: [Bool] {
        var set = sigset_t()
        unsafe sigpending(&set)
        return SignalSets.writeSignals.map { signal in unsafe sigismember(&set, signal) == 1 }
    }
}

enum SignalSets {
    static let writeSignals = [SIGPIPE, SIGXFSZ]
    static var ofWrites: sigset_t { of(writeSignals) }

    /// All signals except those that a fault in the thread itself raises.
    static var notForWorkers: sigset_t {
        var set = sigset_t()
        unsafe sigfillset(&set)
        for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT] { unsafe sigdelset(&set, signal) }
        return set
    }

    static func of(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        return set
    }
}
