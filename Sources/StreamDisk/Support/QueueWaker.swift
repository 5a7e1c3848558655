/// Ends the wait of the one thread that takes from a queue. May be used from any thread.
package protocol QueueWaker: AnyObject, Sendable {
    func wake()
}

/// Wakes one thread that waits for it; a wake that comes early ends the next wait.
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
