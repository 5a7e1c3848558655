import Glibc
import StreamDisk
import Synchronization

/// SIGINT, SIGTERM and SIGHUP end the run cleanly: the first one cancels it, a second one ends the process immediately.
///
/// SIGHUP stays ignored if it was ignored at the start, as under nohup(1).
///
/// Create it before any other thread: all threads then inherit the blocked signals, and only this one's thread takes them.
final class SignalWatch: Sendable {
    let cancellation = Cancellation()
    /// When a terminal closes, both kernel and shell may send SIGHUP: one that follows another this soon is not a second signal.
    private static let hangUpSeconds = 1.0

    private let first = Atomic<Int32>(0)
    private let watchesHangUp: Bool

    init() {
        // A reader of the events that went away must not end the run.
        signal(SIGPIPE, SIG_IGN)
        var hangUp = sigaction()
        unsafe sigaction(SIGHUP, nil, &hangUp)
        // SAFETY: only compared; without SA_SIGINFO the handler is the union's member.
        watchesHangUp =
            unsafe unsafeBitCast(hangUp.__sigaction_handler.sa_handler, to: Int.self)
            != unsafeBitCast(SIG_IGN, to: Int.self)
        var watched = self.watched
        unsafe pthread_sigmask(SIG_BLOCK, &watched, nil)

        var thread = pthread_t()
        // SAFETY: only the thread's body releases the reference, and it runs as long as the process.
        let argument = unsafe Unmanaged.passRetained(self)
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<SignalWatch>.fromOpaque(argument).takeUnretainedValue().watch()
                return nil
            }, argument.toOpaque())
        if code != 0 {
            // Without a thread the signals keep their default action: they end the process.
            unsafe argument.release()
            unsafe pthread_sigmask(SIG_UNBLOCK, &watched, nil)
        }
    }

    /// The first signal that came.
    var received: Int32? {
        let number = first.load(ordering: .acquiring)
        return number == 0 ? nil : number
    }

    /// What a person reads when a run is cancelled.
    var words: String {
        switch received {
        case SIGTERM: "interrupted: terminated"
        case SIGHUP: "interrupted: hung up"
        default: "interrupted"
        }
    }

    /// 130, 143 or 129 if a signal ended the run, else the error's own code.
    func exitCode(for fault: StreamFault) -> Int32 {
        guard case .cancelled = fault, let received else { return fault.code }
        return 128 + received
    }

    private var watched: sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGINT)
        unsafe sigaddset(&set, SIGTERM)
        if watchesHangUp { unsafe sigaddset(&set, SIGHUP) }
        return set
    }

    private func watch() {
        var watched = self.watched
        var hungUpAt: Instant?
        while true {
            var number: Int32 = 0
            guard unsafe sigwait(&watched, &number) == 0 else { continue }
            let isSameHangUp = number == SIGHUP && hungUpAt.map { Instant.now.seconds(since: $0) < Self.hangUpSeconds } == true
            if number == SIGHUP { hungUpAt = .now }
            if isSameHangUp { continue }
            if received != nil { _exit(128 + number) }
            first.store(number, ordering: .releasing)
            cancellation.cancel()
        }
    }
}
