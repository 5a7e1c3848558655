/// Pieces on their way from the decode lanes to the writer's thread. Bounded by the slots there are.
final class WriteInbox: Sendable {
    private struct State {
        var pieces: [SlotWrite] = []
        var lanesLeft: Int
        /// Something came, or a lane ended, since the writer last looked.
        var changed = false
        var writerWaits = false
    }
    private let state: Monitor<State>
    private let waker: any QueueWaker
    private let keepsChecksums: Bool

    /// - Parameter keepsChecksums: every piece gets the checksum of its bytes, on the lane's thread and while they are in its
    ///   cache.
    init(lanes: Int, waker: any QueueWaker, keepsChecksums: Bool = false) {
        self.keepsChecksums = keepsChecksums
        state = Monitor(State(lanesLeft: lanes))
        self.waker = waker
    }

    /// From a lane: hands over a piece.
    func push(_ piece: SlotWrite) {
        var piece = piece
        if keepsChecksums, let memory = piece.memory {
            piece.checksum = memory.ring.buffer.checksum(memory.ringOffset, count: piece.lengthBytes)
        }
        wakeAfter { $0.pieces.append(piece) }
    }

    /// From a lane: it will hand over no more.
    func laneEnded() { wakeAfter { $0.lanesLeft -= 1 } }

    private func wakeAfter(_ change: (inout State) -> Void) {
        let wake = state.withLock { state in
            change(&state)
            state.changed = true
            defer { state.writerWaits = false }
            return state.writerWaits
        }
        if wake { waker.wake() }
    }

    /// From the writer: moves what has come to the end of `pieces`. Returns whether lanes are still at work.
    func take(into pieces: inout [SlotWrite]) -> Bool {
        state.withLock { state in
            pieces.append(contentsOf: state.pieces)
            state.pieces.removeAll(keepingCapacity: true)
            state.changed = false
            return state.lanesLeft > 0
        }
    }

    /// From the writer, before it waits: false when something has changed since `take`; else the next change wakes it.
    func willWait() -> Bool {
        state.withLock { state in
            guard !state.changed else { return false }
            state.writerWaits = true
            return true
        }
    }
}
