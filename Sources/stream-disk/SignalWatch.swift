import Glibc
import StreamDisk
import Synchronization

/// SIGINT and SIGTERM end the run cleanly: the first cancels it, a second one ends the process at once.
///
/// Made before any other thread, so that all of them have the signals blocked and only this one's thread takes them.
final class SignalWatch: Sendable {
    let cancellation = Cancellation()
    private let first = Atomic<Int32>(0)

    init() {
        // A reader of the events that went away must not end a run.
        signal(SIGPIPE, SIG_IGN)
        var watched = sigset_t()
        unsafe sigemptyset(&watched)
        unsafe sigaddset(&watched, SIGINT)
        unsafe sigaddset(&watched, SIGTERM)
        unsafe pthread_sigmask(SIG_BLOCK, &watched, nil)

        var thread = pthread_t()
        // SAFETY: the reference is given up by the thread's body only, which lasts as long as the process.
        let argument = unsafe Unmanaged.passRetained(self)
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<SignalWatch>.fromOpaque(argument).takeUnretainedValue().watch()
                return nil
            }, argument.toOpaque())
        if code != 0 {
            // Without a thread the signals do what they always do: end the process.
            unsafe argument.release()
            unsafe pthread_sigmask(SIG_UNBLOCK, &watched, nil)
        }
    }

    /// The first signal that came.
    var received: Int32? {
        let number = first.load(ordering: .acquiring)
        return number == 0 ? nil : number
    }

    /// 130 or 143 when a signal ended the run, else the error's own.
    func exitCode(for fault: StreamFault) -> Int32 {
        guard case .cancelled = fault, let received else { return fault.exitCode }
        return 128 + received
    }

    private func watch() {
        var watched = sigset_t()
        unsafe sigemptyset(&watched)
        unsafe sigaddset(&watched, SIGINT)
        unsafe sigaddset(&watched, SIGTERM)
        while true {
            var number: Int32 = 0
            guard unsafe sigwait(&watched, &number) == 0 else { continue }
            if received != nil { _exit(128 + number) }
            first.store(number, ordering: .releasing)
            cancellation.cancel()
        }
    }
}
