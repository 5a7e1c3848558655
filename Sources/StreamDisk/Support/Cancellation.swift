import Synchronization

/// Stops a run from another thread.
///
/// `cancel` may be called from any thread and any number of times, but not from a signal handler, since it takes a lock. A
/// thread that waits uses `withHandler` to register what wakes it.
public final class Cancellation: Sendable {
    private struct State {
        var handlers: [UInt64: @Sendable () -> Void] = [:]
        var nextID: UInt64 = 0
    }

    private let flag = Atomic<Bool>(false)
    private let state = Monitor(State())

    /// Creates one that is not cancelled.
    public init() {}

    /// Whether `cancel` was called.
    public var isCancelled: Bool { flag.load(ordering: .acquiring) }

    /// Sets the flag and calls every registered handler once, on this thread.
    public func cancel() {
        if flag.exchange(true, ordering: .acquiringAndReleasing) { return }
        let handlers = state.withLock { state in
            defer { state.handlers = [:] }
            return Array(state.handlers.values)
        }
        for handler in handlers { handler() }
    }

    /// Runs `body` with `handler` registered. `cancel` calls the handler; if `cancel` was called before, the handler runs
    /// immediately.
    ///
    /// The handler may still be running on the cancelling thread when `body` has returned, so it must own what it uses.
    package func withHandler<Value, Failure: Error>(
        _ handler: @escaping @Sendable () -> Void, _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let id = state.withLock { state in
            state.nextID += 1
            state.handlers[state.nextID] = handler
            return state.nextID
        }
        defer { _ = state.withLock { $0.handlers.removeValue(forKey: id) } }
        if isCancelled { handler() }
        return try body()
    }
}

/// Thrown where a thread waits, or its work is no longer wanted, after the transfer was stopped. It does not say why.
package struct Stopped: Error, Sendable {
    /// Creates the error.
    package init() {}
}
