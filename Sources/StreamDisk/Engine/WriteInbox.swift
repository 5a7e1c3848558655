/// Pieces on their way from the decode lanes to the writer's thread: a bounded number, since zeros hold no slot.
final class WriteInbox: Sendable {
    private static let piecesMax = 4096

    private struct State {
        var pieces: [SlotWrite] = []
        var lanesLeft: Int
        /// Something came, or a lane ended, since the writer last looked.
        var changed = false
        var writerWaits = false
        var lanesWait = false
        var stopped = false

        /// Notes a change; true when the writer must be woken for it.
        mutating func change() -> Bool {
            changed = true
            defer { writerWaits = false }
            return writerWaits
        }
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
        let wake = state.wait { state -> Bool? in
            guard state.pieces.count < Self.piecesMax || state.stopped else {
                state.lanesWait = true
                return nil
            }
            state.pieces.append(piece)
            return state.change()
        }
        if wake { waker.wake() }
    }

    /// From a lane: it will hand over no more.
    func laneEnded() {
        let wake = state.withLock { state in
            state.lanesLeft -= 1
            return state.change()
        }
        if wake { waker.wake() }
    }

    /// No lane shall wait any longer.
    func stop() { state.update { $0.stopped = true } }

    /// From the writer: moves what has come to the end of `pieces`, unless that has enough. Returns whether lanes are still at
    /// work, or pieces left here.
    func take(into pieces: inout [SlotWrite]) -> Bool {
        let (isMore, lanesWait) = state.withLock { state in
            if pieces.count < Self.piecesMax {
                pieces.append(contentsOf: state.pieces)
                state.pieces.removeAll(keepingCapacity: true)
            }
            state.changed = false
            let isMore = state.lanesLeft > 0 || !state.pieces.isEmpty
            guard state.lanesWait, state.pieces.isEmpty else { return (isMore, false) }
            state.lanesWait = false
            return (isMore, true)
        }
        if lanesWait { state.broadcast() }
        return isMore
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
