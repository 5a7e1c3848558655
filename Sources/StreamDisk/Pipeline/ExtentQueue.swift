/// Extents on their way from the lanes to the consumer's thread: a bounded number, since zeros hold no slot.
package final class ExtentQueue: Sendable {
    private static let extentsMax = 4096

    private struct State {
        var extents: [DecodedExtent] = []
        /// Lanes at work, and one more until `close`: lanes may still begin.
        var sourcesLeft = 1
        /// Something came, or a lane ended, since the consumer last looked.
        var changed = false
        var consumerWaits = false
        var lanesWait = false
        var stopped = false

        /// Notes a change; true when the consumer must be woken for it.
        mutating func change() -> Bool {
            changed = true
            defer { consumerWaits = false }
            return consumerWaits
        }
    }
    private let state = Monitor(State())
    private let waker: any QueueWaker
    private let keepsChecksums: Bool

    /// - Parameter keepsChecksums: every extent gets the checksum of its bytes, on the lane's thread and while they are in its
    ///   cache.
    package init(waker: any QueueWaker, keepsChecksums: Bool = false) {
        self.keepsChecksums = keepsChecksums
        self.waker = waker
    }

    /// From a lane: hands over an extent.
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

    /// A lane will hand over extents, until `laneEnded`. Not after `close`.
    func laneStarted() { state.withLock { $0.sourcesLeft += 1 } }

    /// From a lane: it will hand over no more.
    func laneEnded() { endSource() }

    /// No more lanes will begin.
    package func close() { endSource() }

    private func endSource() {
        let wake = state.withLock { state in
            precondition(state.sourcesLeft > 0)
            state.sourcesLeft -= 1
            return state.change()
        }
        if wake { waker.wake() }
    }

    /// No lane shall wait any longer, and the consumer looks again.
    func stop() {
        state.mutateAndNotify { $0.stopped = true }
        waker.wake()
    }

    /// From the consumer: moves what has come to the end of `extents`, unless that has enough. Returns whether more may come.
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

    /// From the consumer, before it waits: false when something has changed since `take`; else the next change wakes it.
    package func willWait() -> Bool {
        state.withLock { state in
            guard !state.changed else { return false }
            state.consumerWaits = true
            return true
        }
    }
}
