/// The memory of a decode lane: a ring of slots that the decoder fills, that serves as its window, and from which the disk is
/// written. Nothing in it is copied, except for less than a block when the ring wraps.
///
/// The decoder's output passes through the ring in *laps*. Within a lap the ring offset grows with the stream, and both are
/// equal modulo `alignmentBytes`. A slot is reused once two things hold. Nobody uses it any more: every write from it has
/// completed and its checksum has been verified (a use count per slot). And the decoder's window has moved past it: a lap is
/// long enough for the window, the writes in flight, and the few bytes libzstd may write past a block
/// (`lapBytes(windowBytes:…)`).
package final class SlotRing: Sendable {
    /// Every write starts at a multiple of this in the ring. It is at least the block size and memory alignment of any disk.
    package static let alignmentBytes = DirectBuffer.alignmentBytes

    package let buffer: DirectBuffer
    let slotBytes: Int

    private struct State {
        var uses: [Int32]
        var stopped = false
    }
    private let state: Monitor<State>
    private let counters: TransferCounters

    /// - Parameter capacityBytes: from `lapBytes(…)`; rounded up to whole slots.
    package init(
        capacityBytes: Int, slotBytes: Int, counters: TransferCounters = TransferCounters()
    ) throws(StreamFault) {
        precondition(slotBytes > 0 && slotBytes % Self.alignmentBytes == 0)
        let slots = (capacityBytes + slotBytes - 1) / slotBytes
        buffer = try DirectBuffer.reserved(sizeBytes: slots * slotBytes)
        self.slotBytes = slotBytes
        self.counters = counters
        state = Monitor(State(uses: [Int32](repeating: 0, count: slots)))
    }

    package var capacityBytes: Int { buffer.sizeBytes }

    /// The length of a lap for this window while `inFlightBytes` are being written.
    ///
    /// libzstd requires `ZSTD_decodingBufferSize_min`. In addition, a lap may end up to one block early, starts with up to one
    /// alignment unit carried over, and the decoder may overwrite `overrunBytes` past its output.
    static func lapBytes(windowBytes: UInt64, contentBytes: UInt64?, blockBytesMax: Int, inFlightBytes: Int) -> UInt64 {
        ZstdDecoder.windowAreaBytes(windowBytes: windowBytes, contentBytes: contentBytes)
            + UInt64(2 * (blockBytesMax + ZstdDecoder.overrunBytes) + alignmentBytes + inFlightBytes)
    }

    /// Waits until nothing uses this slot. Only the caller fills slots.
    package func waitUntilFree(slot: Int) throws(Stopped) {
        let free = state.wait(timing: counters.decode.outputWaitNanoseconds) { state -> Bool? in
            if state.stopped { return false }
            return state.uses[slot] == 0 ? true : nil
        }
        if !free { throw Stopped() }
    }

    /// Marks the slot as used by a write or by checksum verification.
    package func retain(slot: Int) {
        state.withLock { $0.uses[slot] += 1 }
    }

    /// Ends one use: the write was reaped, or the content verified.
    func release(slot: Int) {
        state.mutateAndNotify { state in
            precondition(state.uses[slot] > 0, "a slot was released more often than retained")
            state.uses[slot] -= 1
        }
    }

    /// Aborts the decoder's waits.
    package func stop() { state.mutateAndNotify { $0.stopped = true } }
}
