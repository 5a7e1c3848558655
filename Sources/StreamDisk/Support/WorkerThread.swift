import CLinux
import Glibc

/// A thread with a name, to be joined exactly once.
package struct WorkerThread: ~Copyable {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    private let handle: pthread_t

    /// Enough for libcurl, OpenSSL and libzstd, whose large areas are on the heap. Not left to RLIMIT_STACK, which may say
    /// less than any code needs, or 8 MiB of address space each.
    static let stackBytes = 1 << 20

    /// Starts `body` on a new thread. `name` shows in `top -H` and debuggers: at most 15 bytes (pthread_setname_np(3)).
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        // SAFETY: the box is retained here and released by the thread, or here when there is no thread.
        let box = unsafe Unmanaged.passRetained(Body(name: name, run: body))
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, Self.stackBytes)
        defer { unsafe pthread_attr_destroy(&attributes) }
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

    /// Waits for the thread to end. A thread that was not joined is detached by `deinit`.
    package consuming func join() {
        pthread_join(handle, nil)
        discard self
    }

    deinit { pthread_detach(handle) }
}

/// Threads that are joined together, by one thread.
struct ThreadList {
    private var threads: [Joinable] = []

    /// Arrays cannot hold `~Copyable` threads; a box per thread can.
    private final class Joinable {
        private var thread: WorkerThread?
        init(_ thread: consuming WorkerThread) { self.thread = consume thread }
        func join() { thread.take()?.join() }
    }

    mutating func append(_ thread: consuming WorkerThread) { threads.append(Joinable(thread)) }

    var isEmpty: Bool { threads.isEmpty }

    /// Waits for all of them. Joining again does nothing.
    func joinAll() { for thread in threads { thread.join() } }
}
