import CLinux
import Glibc
import Synchronization

/// State shared by threads: a mutex, the state it guards, and one condition to wait on.
///
/// This is the only way that threads of this package share mutable state. `Synchronization.Mutex` has no condition to wait on,
/// which back pressure needs. Bodies run under the lock: they must be short and must not call other components.
@safe
package final class Monitor<State>: @unchecked Sendable {
    // SAFETY: both are allocated in `init`, never moved, and destroyed in `deinit`, when no thread can hold a reference.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: State) {
        self.state = state
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        // Waits use a clock that changes of the system time do not affect.
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the state.
    package func withLock<Value, Failure: Error>(_ body: (inout State) throws(Failure) -> Value) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Runs `body` like `withLock`, then wakes every waiter.
    package func mutateAndNotify<Value, Failure: Error>(_ body: (inout State) throws(Failure) -> Value) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_cond_broadcast(condition)
            unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Wakes every waiter. For use when only some changes matter to them.
    package func broadcast() { unsafe pthread_cond_broadcast(condition) }

    /// Waits until `body` returns a value, and returns it. `body` runs again after each `mutateAndNotify` or `broadcast`.
    package func wait<Value, Failure: Error>(_ body: (inout State) throws(Failure) -> Value?) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let value = try body(&state) { return value }
            unsafe pthread_cond_wait(condition, mutex)
        }
    }

    /// Like `wait`, and adds the nanoseconds spent waiting to `waited`. Measures nothing if no wait is needed.
    func wait<Value, Failure: Error>(
        timing waited: borrowing Atomic<UInt64>, _ body: (inout State) throws(Failure) -> Value?
    ) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        if let value = try body(&state) { return value }
        let start = Instant.now
        defer { waited.wrappingAdd(Instant.now.nanoseconds - start.nanoseconds, ordering: .relaxed) }
        while true {
            unsafe pthread_cond_wait(condition, mutex)
            if let value = try body(&state) { return value }
        }
    }

    /// Like `wait`, but returns nil at `deadline`.
    package func wait<Value, Failure: Error>(
        until deadline: Instant, _ body: (inout State) throws(Failure) -> Value?
    ) throws(Failure) -> Value? {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        var time = deadline.timeSpecification
        while true {
            if let value = try body(&state) { return value }
            if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return try body(&state) }
        }
    }
}

/// A point on CLOCK_MONOTONIC, in nanoseconds since boot.
package struct Instant: Comparable, Sendable {
    package var nanoseconds: UInt64

    package static var now: Instant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// Now plus `seconds`, clamped to 0…10 years.
    package static func after(seconds: Double) -> Instant {
        let bounded = min(max(seconds, 0), 3e8)
        return Instant(nanoseconds: now.nanoseconds + UInt64(bounded * 1e9))
    }

    /// Seconds from `earlier` to this instant; 0 if `earlier` is later.
    package func seconds(since earlier: Instant) -> Double {
        nanoseconds > earlier.nanoseconds ? Double(nanoseconds - earlier.nanoseconds) / 1e9 : 0
    }

    fileprivate var timeSpecification: timespec {
        timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
}
