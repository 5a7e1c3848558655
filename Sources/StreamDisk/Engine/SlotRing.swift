/// The memory of one decode lane: a ring of slots that the decoder fills, that is its window at the same time, and that the
/// disk is written from. Nothing in it is ever copied, but for less than a block when the ring wraps.
///
/// Positions: the decoder's output runs through the ring in *laps*. Within a lap the ring offset grows with the stream, and
/// both are equal modulo `alignmentBytes`. A slot may be overwritten when its write has completed, its content was checked
/// (`ContentCheck`), *and* the window has passed it: the first two are each slot's count of what is pending, the last is the length of a lap
/// (`lapBytes(windowBytes:…)`).
final class SlotRing: Sendable {
    /// Every write starts on such a multiple of the ring; at least any disk's block and memory alignment.
    static let alignmentBytes = DirectBuffer.alignmentBytes

    let buffer: DirectBuffer
    let slotBytes: Int

    private struct State {
        var pendingWrites: [Int32]
        var stopped = false
    }
    private let state: Monitor<State>
    private let counters: Counters

    /// - Parameter capacityBytes: from `capacityBytes(…)`; rounded up to whole slots.
    init(
        capacityBytes: Int, slotBytes: Int, counters: Counters = Counters()
    ) throws(StreamFault) {
        precondition(slotBytes > 0 && slotBytes % Self.alignmentBytes == 0)
        let slots = (capacityBytes + slotBytes - 1) / slotBytes
        buffer = try DirectBuffer.reserved(sizeBytes: slots * slotBytes)
        self.slotBytes = slotBytes
        self.counters = counters
        state = Monitor(State(pendingWrites: [Int32](repeating: 0, count: slots)))
    }

    var capacityBytes: Int { buffer.sizeBytes }

    /// The bytes a lap must have to decode with this window while `inFlightBytes` are being written.
    ///
    /// libzstd wants `ZSTD_decodingBufferSize_min`; a lap may end up to one block early, starts with up to one alignment unit
    /// carried over, and the decoder may scribble `overrunBytes` past its output.
    static func lapBytes(windowBytes: UInt64, contentBytes: UInt64?, blockBytesMax: Int, inFlightBytes: Int) -> UInt64 {
        ZstdDecoder.windowAreaBytes(windowBytes: windowBytes, contentBytes: contentBytes)
            + UInt64(2 * (blockBytesMax + ZstdDecoder.overrunBytes) + alignmentBytes + inFlightBytes)
    }

    /// Waits until no write from this slot is pending; the caller is the only one that fills slots.
    func waitUntilFree(slot: Int) throws(Stopped) {
        let free = state.wait(timing: counters.decode.outputWaitNanoseconds) { state -> Bool? in
            if state.stopped { return false }
            return state.pendingWrites[slot] == 0 ? true : nil
        }
        if !free { throw Stopped() }
    }

    /// A write from this slot, or a look at its content, is about to be handed over.
    func writeStarted(slot: Int) {
        state.withLock { $0.pendingWrites[slot] += 1 }
    }

    /// A write from this slot was reaped, or its content looked at.
    func writeEnded(slot: Int) {
        state.update { state in
            precondition(state.pendingWrites[slot] > 0, "a slot's write ended twice")
            state.pendingWrites[slot] -= 1
        }
    }

    /// The decoder shall wait no longer.
    func stop() { state.update { $0.stopped = true } }
}

/// A piece of decoded data on its way to the disk.
struct SlotWrite {
    /// Where the bytes are; nil where all of them are zeros, and no slot waits for it.
    let memory: (ring: SlotRing, slot: Int, ringOffset: Int)?
    var lengthBytes: Int
    /// Byte position on the device.
    let deviceOffset: UInt64
    /// XXH3 of the bytes, where a run reads back what it wrote; nil also for zeros.
    var checksum: UInt64? = nil

    var isZero: Bool { memory == nil }
    var deviceEnd: UInt64 { deviceOffset + UInt64(lengthBytes) }
}
