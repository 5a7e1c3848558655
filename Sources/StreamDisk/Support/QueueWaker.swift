/// Wakes the one thread that reads from a queue. May be used from any thread.
package protocol QueueWaker: AnyObject, Sendable {
    func wake()
}

/// Wakes one waiting thread. If no thread is waiting, the next wait returns immediately.
package final class ConditionWaker: QueueWaker {
    private let isWoken = Monitor(false)

    package init() {}

    package func wake() { isWoken.mutateAndNotify { $0 = true } }

    /// Returns whether it was woken before the deadline.
    @discardableResult
    package func wait(until deadline: Instant) -> Bool {
        isWoken.wait(until: deadline) { isWoken -> Bool? in
            defer { isWoken = false }
            return isWoken ? true : nil
        } ?? false
    }
}
