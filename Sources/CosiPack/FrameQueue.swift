import StreamDisk

/// The way of the frames: one reader, compressors, one writer. Its slots bound what is under way.
final class FrameQueue: Sendable {
    /// Another thread has failed, or the run was cancelled: `failure` says why.
    struct Stopped: Error {}

    private struct State {
        var free: [FrameSlot] = []
        var read: [FrameSlot] = []
        var compressed: [UInt64: FrameSlot] = [:]
        var nextRead: UInt64 = 0
        var nextWritten: UInt64 = 0
        var isReadToEnd = false
        var failure: PackError?
        var readBytes: UInt64 = 0
    }

    private let state: Monitor<State>

    init(_ slots: [FrameSlot]) { state = Monitor(State(free: slots)) }

    /// The first failure ends the run; all who wait are woken.
    func fail(_ error: PackError) {
        state.mutateAndNotify { state in
            if state.failure == nil { state.failure = error }
        }
    }

    var failure: PackError? { state.withLock { $0.failure } }
    var readBytes: UInt64 { state.withLock { $0.readBytes } }

    // MARK: The reader

    func countRead(_ bytes: UInt64) throws(Stopped) {
        try state.withLock { state throws(Stopped) in
            if state.failure != nil { throw Stopped() }
            state.readBytes += bytes
        }
    }

    func takeFree() throws(Stopped) -> FrameSlot {
        try state.wait { state throws(Stopped) -> FrameSlot? in
            if state.failure != nil { throw Stopped() }
            return state.free.popLast()
        }
    }

    func add(_ slot: FrameSlot) {
        state.mutateAndNotify { state in
            slot.sequence = state.nextRead
            state.nextRead += 1
            state.read.append(slot)
        }
    }

    func endReading() { state.mutateAndNotify { $0.isReadToEnd = true } }

    // MARK: Compressors

    /// The oldest frame that nobody compresses yet; nil when there are no more.
    func takeRead() -> FrameSlot? {
        state.wait { state -> FrameSlot?? in
            if state.failure != nil { return .some(nil) }
            // As many as there are slots: a few.
            if !state.read.isEmpty { return state.read.removeFirst() }
            return state.isReadToEnd ? .some(nil) : nil
        }
    }

    func addCompressed(_ slot: FrameSlot) {
        state.mutateAndNotify { $0.compressed[slot.sequence] = slot }
    }

    // MARK: The writer

    enum Next {
        case frame(FrameSlot)
        case end
        /// Nothing until the deadline.
        case none
    }

    /// The next frame in order.
    func takeCompressed(until deadline: Instant) throws(PackError) -> Next {
        let next = try state.wait(until: deadline) { state throws(PackError) -> Next? in
            if let failure = state.failure { throw failure }
            if let slot = state.compressed.removeValue(forKey: state.nextWritten) {
                state.nextWritten += 1
                return .frame(slot)
            }
            return state.isReadToEnd && state.nextWritten == state.nextRead ? .end : nil
        }
        return next ?? .none
    }

    func giveBack(_ slot: FrameSlot) { state.mutateAndNotify { $0.free.append(slot) } }
}
