import CLinux
import Glibc

/// A named thread that is joined exactly once. It takes no signals: those are for the process's own threads.
public struct WorkerThread: ~Copyable {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    private let handle: pthread_t

    /// Enough for libcurl, OpenSSL and libzstd, which keep large areas on the heap. RLIMIT_STACK is not used: it may be too
    /// small for any code, or cost 8 MiB of address space per thread.
    static let stackBytes = 1 << 20

    /// Starts `body` on a new thread. `name` is visible in `top -H` and debuggers: at most 15 bytes (pthread_setname_np(3)).
    public init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        // SAFETY: the box is retained here, and released by the thread, or here if the thread does not start.
        let box = unsafe Unmanaged.passRetained(Body(name: name, run: body))
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, Self.stackBytes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        var signals = SignalSets.notForWorkers
        unsafe cl_set_signal_mask(&attributes, &signals)
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle, &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                WorkerThread.nameCurrent(body.name)
                body.run()
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            unsafe box.release()
            throw SystemError(code)
        }
        self.handle = handle
    }

    /// Names the calling thread.
    static func nameCurrent(_ name: String) {
        unsafe pthread_setname_np(pthread_self(), String(name.prefix(15)))
    }

    /// Waits for the thread to end. `deinit` detaches a thread that was not joined.
    public consuming func join() {
        pthread_join(handle, nil)
        discard self
    }

    deinit { pthread_detach(handle) }
}

/// Threads that one thread joins together.
package struct ThreadList {
    private var threads: [Joinable] = []

    /// Arrays cannot hold `~Copyable` threads, but they can hold one box per thread.
    private final class Joinable {
        private var thread: WorkerThread?
        init(_ thread: consuming WorkerThread) { self.thread = consume thread }
        func join() { thread.take()?.join() }
    }

    package init() {}

    package mutating func append(_ thread: consuming WorkerThread) { threads.append(Joinable(thread)) }

    var isEmpty: Bool { threads.isEmpty }

    /// Waits for all threads. Calling it again does nothing.
    package func joinAll() { for thread in threads { thread.join() } }
}
