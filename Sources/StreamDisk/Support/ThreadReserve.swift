/// Threads that start before the first write and wait for work. So the kernel cannot refuse them once the old partition table
/// is gone (RLIMIT_NPROC, pids.max, memory for stacks).
final class ThreadReserve: Sendable {
    private typealias Body = @Sendable () -> Void
    private let waiting = Monitor<[Seat]>([])

    /// A thread and the work it gets; nil means end.
    private final class Seat: @unchecked Sendable {
        let work = Monitor<Body??>(nil)
        /// Used once, by the thread that took the seat from `waiting`.
        private var thread: WorkerThread?

        init() throws(SystemError) {
            let work = self.work
            thread = try WorkerThread(name: "sd-waiting") { work.wait { $0 }?() }
        }

        func begin(_ body: Body?) -> WorkerThread {
            work.mutateAndNotify { $0 = .some(body) }
            guard let thread = thread.take() else { preconditionFailure("a thread was given work twice") }
            return thread
        }
    }

    deinit { dismiss() }

    /// Starts `count` threads. Throws the kernel's error.
    func add(_ count: Int) throws(SystemError) {
        for _ in 0..<count {
            let seat = try Seat()
            waiting.withLock { $0.append(seat) }
        }
    }

    /// Runs `body` on a waiting thread, or else on a new one, which the kernel may refuse.
    func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> WorkerThread {
        guard let seat = waiting.withLock({ $0.popLast() }) else { return try WorkerThread(name: name, body) }
        return seat.begin {
            WorkerThread.nameCurrent(name)
            body()
        }
    }

    /// Ends the threads that got no work.
    func dismiss() {
        let seats = waiting.withLock { seats in
            defer { seats.removeAll() }
            return seats
        }
        for seat in seats { seat.begin(nil).join() }
    }
}
