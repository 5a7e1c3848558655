/// Carries extents from the lanes to the consumer's thread. Their number is bounded, since zeros hold no slot.
package final class ExtentQueue: Sendable {
    private static let extentsMax = 4096

    private struct State {
        var extents: [DecodedExtent] = []
        /// Running lanes, plus one until `close`: new lanes may still start.
        var sourcesLeft = 1
        /// Whether an extent arrived or a lane ended since the consumer last checked.
        var changed = false
        var consumerWaits = false
        var lanesWait = false
        var stopped = false

        /// Records a change; returns whether the consumer must be woken.
        mutating func change() -> Bool {
            changed = true
            defer { consumerWaits = false }
            return consumerWaits
        }
    }
    private let state = Monitor(State())
    private let waker: any QueueWaker
    let keepsChecksums: Bool

    /// - Parameter keepsChecksums: adds a checksum to every extent with data, on the lane's thread, while its bytes are in the
    ///   cache.
    package init(waker: any QueueWaker, keepsChecksums: Bool = false) {
        self.keepsChecksums = keepsChecksums
        self.waker = waker
    }

    /// Called by a lane: hands over an extent.
    package func push(_ extent: DecodedExtent) {
        var extent = extent
        if keepsChecksums, let memory = extent.memory {
            extent.checksum = memory.ring.buffer.checksum(memory.ringOffset, count: extent.lengthBytes)
        }
        let wake = state.wait { state -> Bool? in
            guard state.extents.count < Self.extentsMax || state.stopped else {
                state.lanesWait = true
                return nil
            }
            state.extents.append(extent)
            return state.change()
        }
        if wake { waker.wake() }
    }

    /// A lane starts and will hand over extents until `laneEnded`. Not allowed after `close`.
    func laneStarted() { state.withLock { $0.sourcesLeft += 1 } }

    /// Called by a lane: it hands over no more extents.
    func laneEnded() { endSource() }

    /// No more lanes will start.
    package func close() { endSource() }

    private func endSource() {
        let wake = state.withLock { state in
            precondition(state.sourcesLeft > 0)
            state.sourcesLeft -= 1
            return state.change()
        }
        if wake { waker.wake() }
    }

    /// Aborts: no lane waits any longer, and the consumer is woken.
    func stop() {
        state.mutateAndNotify { $0.stopped = true }
        waker.wake()
    }

    /// Called by the consumer: appends waiting extents to `extents`, unless that already has enough. Returns whether more may
    /// come.
    package func take(into extents: inout [DecodedExtent]) -> Bool {
        let (isMore, lanesWait) = state.withLock { state in
            if extents.count < Self.extentsMax {
                extents.append(contentsOf: state.extents)
                state.extents.removeAll(keepingCapacity: true)
            }
            state.changed = false
            let isMore = state.sourcesLeft > 0 || !state.extents.isEmpty
            guard state.lanesWait, state.extents.isEmpty else { return (isMore, false) }
            state.lanesWait = false
            return (isMore, true)
        }
        if lanesWait { state.broadcast() }
        return isMore
    }

    /// Called by the consumer before it waits. Returns false if something changed since `take`; otherwise the next change wakes
    /// it.
    package func willWait() -> Bool {
        state.withLock { state in
            guard !state.changed else { return false }
            state.consumerWaits = true
            return true
        }
    }
}
