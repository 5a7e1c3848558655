/// Threads that were started before the first write and wait for their work: what a run needs of them cannot be refused when
/// the old table is gone (RLIMIT_NPROC, pids.max, memory for stacks).
final class ThreadReserve: Sendable {
    private typealias Body = @Sendable () -> Void
    private let waiting = Monitor<[Seat]>([])

    /// A thread and what it is told to do; nil is to end.
    private final class Seat: @unchecked Sendable {
        let work = Monitor<Body??>(nil)
        /// Used by whoever took the seat out of `waiting`, once.
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

    /// Starts so many. Throws the kernel's refusal.
    func add(_ count: Int) throws(SystemError) {
        for _ in 0..<count {
            let seat = try Seat()
            waiting.withLock { $0.append(seat) }
        }
    }

    /// Runs `body` on one that waits, else on a new thread, which may be refused.
    func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> WorkerThread {
        guard let seat = waiting.withLock({ $0.popLast() }) else { return try WorkerThread(name: name, body) }
        return seat.begin {
            WorkerThread.nameCurrent(name)
            body()
        }
    }

    /// Ends those that got no work.
    func dismiss() {
        let seats = waiting.withLock { seats in
            defer { seats.removeAll() }
            return seats
        }
        for seat in seats { seat.begin(nil).join() }
    }
}
