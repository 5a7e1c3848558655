import Glibc

/// What a write of ours may raise on the thread that makes it: SIGPIPE of a connection that was closed, SIGXFSZ of a file that may not
/// grow (setrlimit(2)). Both come back as errors too, and the process has a right to its own dispositions.
///
/// Made and restored on one thread.
package struct BlockedSignals {
    private let before: sigset_t
    private let isPendingBefore: [Bool]

    /// Blocks them on this thread.
    package init() {
        var (blocked, before) = (SignalSets.ofWrites, sigset_t())
        isPendingBefore = Self.pending
        unsafe pthread_sigmask(SIG_BLOCK, &blocked, &before)
        self.before = before
    }

    /// Takes away those that came meanwhile, and blocks what was blocked before.
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

    /// All but those that tell of a fault in the thread itself.
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
