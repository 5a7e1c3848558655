/// A bounded stream of bytes from one producer thread to one consumer thread. It blocks the fetch while the decoder is behind.
///
/// The bytes of consecutive images are not separated; the consumer knows how many belong to each.
final class BytePipe: Sendable {
    /// The most that the consumer can request as one contiguous span: a zstd block, the next block's header, and some spare.
    static let pieceBytesMax = 256 << 10

    private struct State {
        /// Totals since the start; the difference is what the pipe holds.
        var appended: UInt64 = 0
        var consumed: UInt64 = 0
        var ended = false
        var stopped = false
        /// What each side waits for, so that the other side wakes it once and not for every byte.
        var producerWantsBytes = 0
        var consumerWantsBytes = 0
    }

    let capacityBytes: Int
    private let state = Monitor(State())
    /// A ring of `capacityBytes`, followed by space to join a span that wraps.
    private let buffer: DirectBuffer
    private let counters: TransferCounters

    init(capacityBytes: Int, counters: TransferCounters = TransferCounters()) throws(SystemError) {
        precondition(capacityBytes >= 2 * Self.pieceBytesMax)
        self.capacityBytes = capacityBytes
        self.counters = counters
        buffer = try DirectBuffer(sizeBytes: capacityBytes + Self.pieceBytesMax)
    }

    /// Number of bytes in the pipe now.
    var filledBytes: Int { state.withLock { Int($0.appended - $0.consumed) } }

    /// Aborts the pipe: both sides throw `Stopped` when they next wait or ask.
    func stop() { state.mutateAndNotify { $0.stopped = true } }

    // MARK: Producer

    func append(_ bytes: RawSpan) throws(Stopped) {
        var done = 0
        while done < bytes.byteCount {
            let (start, room) = try waitForRoom()
            // One contiguous span at a time.
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

    /// The producer sends no more bytes.
    func end() { state.mutateAndNotify { $0.ended = true } }

    private func waitForRoom() throws(Stopped) -> (start: UInt64, roomBytes: Int) {
        let found = state.wait(timing: counters.fetch.outputWaitNanoseconds) { state -> (UInt64, Int)? in
            if state.stopped { return (0, 0) }
            let room = capacityBytes - Int(state.appended - state.consumed)
            // After the pipe was full, a quarter of it must be free before the producer continues: this saves thread switches.
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

    /// Passes the next `count` bytes to `body` as one span without consuming them; fewer only if the stream ends earlier.
    func peek<Value, Failure: Error>(
        _ count: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(PipeError<Failure>) -> Value {
        try peek(atLeast: count, atMost: count, body)
    }

    /// The same with as many bytes as are available, from `least` to `most`.
    func peek<Value, Failure: Error>(
        atLeast least: Int, atMost most: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(PipeError<Failure>) -> Value {
        precondition(least <= most && most <= Self.pieceBytesMax)
        guard let (start, available) = waitForBytes(least, most) else { throw .stopped }
        let position = Int(start % UInt64(capacityBytes))
        if position + available > capacityBytes {
            // The span wraps: its second part is copied to the space behind the ring, which only this thread uses.
            buffer.move(from: 0, to: capacityBytes, count: position + available - capacityBytes)
        }
        do throws(Failure) {
            return try buffer.withBytes(position, count: available, body)
        } catch {
            throw .consumer(error)
        }
    }

    /// Consumes the first `count` of those bytes.
    func consume(_ count: Int) {
        let wake = state.withLock { state -> Bool in
            precondition(UInt64(count) <= state.appended - state.consumed)
            state.consumed += UInt64(count)
            let room = capacityBytes - Int(state.appended - state.consumed)
            return state.producerWantsBytes > 0 && room >= state.producerWantsBytes
        }
        if wake { state.broadcast() }
    }

    /// Nil if the pipe was stopped.
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

/// Why `peek` failed: the pipe was stopped, or `body` threw.
enum PipeError<Failure: Error>: Error {
    case stopped
    case consumer(Failure)
}
