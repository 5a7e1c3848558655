import Synchronization

/// Stops a run from another thread.
///
/// `cancel` may be called from any thread, any number of times (not from a signal handler: it takes a lock). Whoever waits
/// registers with `withHandler` what wakes it.
public final class Cancellation: Sendable {
    private struct State {
        var handlers: [UInt64: @Sendable () -> Void] = [:]
        var nextID: UInt64 = 0
    }

    private let flag = Atomic<Bool>(false)
    private let state = Monitor(State())

    /// Not cancelled.
    public init() {}

    /// Whether `cancel` was called.
    public var isCancelled: Bool { flag.load(ordering: .acquiring) }

    /// Sets the flag, and calls every handler once, on this thread.
    public func cancel() {
        if flag.exchange(true, ordering: .acquiringAndReleasing) { return }
        let handlers = state.withLock { state in
            defer { state.handlers = [:] }
            return Array(state.handlers.values)
        }
        for handler in handlers { handler() }
    }

    /// Runs `body` with `handler` registered: `cancel` calls it, at once when it was cancelled before.
    ///
    /// The handler may still be running on the cancelling thread when `body` has returned; it must own what it touches.
    public func withHandler<Value, Failure: Error>(
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

/// Thrown by what was waiting, or is no longer wanted, when a transfer was stopped; it says nothing of why.
public struct Stopped: Error, Sendable {
    /// Not cancelled.
    public init() {}
}
