/// A bounded stream of bytes from one producer thread to one consumer thread: what holds a fetch back when its decoder is
/// behind.
///
/// The bytes of one image follow those of the one before without a mark; the consumer knows how many belong to each.
final class BytePipe: Sendable {
    /// The most the consumer can ask for in one piece: a zstd block with the header of the next, and to spare.
    static let pieceBytesMax = 256 << 10

    private struct State {
        /// Totals since the beginning; their difference is what lies in the pipe.
        var appended: UInt64 = 0
        var consumed: UInt64 = 0
        var ended = false
        var stopped = false
        /// What each side waits for, so that the other wakes it once and not for every byte.
        var producerWantsBytes = 0
        var consumerWantsBytes = 0
    }

    let capacityBytes: Int
    private let state = Monitor(State())
    /// `capacityBytes` of ring, then room to lay a wrapped piece out in one.
    private let buffer: DirectBuffer
    private let counters: TransferCounters

    init(capacityBytes: Int, counters: TransferCounters = TransferCounters()) throws(SystemError) {
        precondition(capacityBytes >= 2 * Self.pieceBytesMax)
        self.capacityBytes = capacityBytes
        self.counters = counters
        buffer = try DirectBuffer(sizeBytes: capacityBytes + Self.pieceBytesMax)
    }

    /// Bytes that are in it now.
    var filledBytes: Int { state.withLock { Int($0.appended - $0.consumed) } }

    /// Nobody needs the other side any more: both return as soon as they ask.
    func stop() { state.mutateAndNotify { $0.stopped = true } }

    // MARK: Producer

    func append(_ bytes: RawSpan) throws(Stopped) {
        var done = 0
        while done < bytes.byteCount {
            let (start, room) = try waitForRoom()
            // One contiguous stretch at a time.
            let position = Int(start % UInt64(capacityBytes))
            let count = min(bytes.byteCount - done, room, capacityBytes - position)
            buffer.copy(bytes.extracting(done..<done + count), to: position)
            done += count
            let wake = state.withLock { state -> Bool in
                state.appended += UInt64(count)
                let available = state.appended - state.consumed
                return state.consumerWantsBytes > 0 && available >= UInt64(state.consumerWantsBytes)
            }
            if wake { state.broadcast() }
        }
    }

    /// No more bytes will come.
    func end() { state.mutateAndNotify { $0.ended = true } }

    private func waitForRoom() throws(Stopped) -> (start: UInt64, roomBytes: Int) {
        let found = state.wait(timing: counters.fetch.outputWaitNanoseconds) { state -> (UInt64, Int)? in
            if state.stopped { return (0, 0) }
            let room = capacityBytes - Int(state.appended - state.consumed)
            // Once it was full, a quarter must be free again: fewer switches between the two threads.
            guard room > 0, room >= state.producerWantsBytes else {
                state.producerWantsBytes = capacityBytes / 4
                return nil
            }
            state.producerWantsBytes = 0
            return (state.appended, room)
        }
        if found.1 == 0 { throw Stopped() }
        return found
    }

    // MARK: Consumer

    /// Shows the next `count` bytes, in one piece, without consuming them; fewer only when the stream ends before.
    func peek<Value, Failure: Error>(
        _ count: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(PipeError<Failure>) -> Value {
        try peek(atLeast: count, atMost: count, body)
    }

    /// The same with as many bytes as are there, from `least` up to `most`.
    func peek<Value, Failure: Error>(
        atLeast least: Int, atMost most: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(PipeError<Failure>) -> Value {
        precondition(least <= most && most <= Self.pieceBytesMax)
        guard let (start, available) = waitForBytes(least, most) else { throw .stopped }
        let position = Int(start % UInt64(capacityBytes))
        if position + available > capacityBytes {
            // The piece wraps: its second part is repeated behind the ring's end. Only this thread uses that area.
            buffer.move(from: 0, to: capacityBytes, count: position + available - capacityBytes)
        }
        do throws(Failure) {
            return try buffer.withBytes(position, count: available, body)
        } catch {
            throw .consumer(error)
        }
    }

    /// Gives back the first `count` bytes of what was shown.
    func consume(_ count: Int) {
        let wake = state.withLock { state -> Bool in
            precondition(UInt64(count) <= state.appended - state.consumed)
            state.consumed += UInt64(count)
            let room = capacityBytes - Int(state.appended - state.consumed)
            return state.producerWantsBytes > 0 && room >= state.producerWantsBytes
        }
        if wake { state.broadcast() }
    }

    /// Nil when the pipe was stopped.
    private func waitForBytes(_ least: Int, _ most: Int) -> (start: UInt64, bytes: Int)? {
        state.wait(timing: counters.decode.inputWaitNanoseconds) { state -> (start: UInt64, bytes: Int)?? in
            if state.stopped { return .some(nil) }
            let available = state.appended - state.consumed
            guard available >= UInt64(least) || state.ended else {
                state.consumerWantsBytes = least
                return nil
            }
            state.consumerWantsBytes = 0
            return .some((state.consumed, min(most, Int(available))))
        }
    }
}

/// Why `peek` did not answer: the pipe was stopped, or its body threw.
enum PipeError<Failure: Error>: Error {
    case stopped
    case consumer(Failure)
}
