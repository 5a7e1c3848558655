import CXXHash
import Glibc

/// Verifies the content checksum of a lane's frames (RFC 8878 §3.1.1: the low four bytes of XXH64 of what was decoded) on a thread of
/// its own: the decoder is what most runs wait for, and this is a tenth of its work.
///
/// The decode thread says what it decoded, slot by slot, and what the frame's end states. A slot is retained until it was verified,
/// so the decoder cannot run away. The lane ends only when this is done, too.
final class FrameChecksumVerifier: Sendable {
    private enum Item {
        /// The next bytes of the frame, all in one slot.
        case content(slot: Int, offset: Int, count: Int)
        /// The frame ends and states a checksum.
        case end(checksum: UInt32, image: ImageJob, position: UInt64)
    }

    private struct State {
        var items: [Item] = []
        var ended = false
        var stopped = false
        /// Its thread has ended.
        var isDone = false
    }
    private let state = Monitor(State())
    private let ring: SlotRing
    private let counters: TransferCounters
    /// A ring has not many more slots; frames without content hold none.
    private static let itemsMax = 256

    init(ring: SlotRing, counters: TransferCounters) {
        self.ring = ring
        self.counters = counters
    }

    // MARK: The decode thread

    /// Part of a frame that has a checksum: bytes that stay as they are while their slot is held.
    func content(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        let slot = range.lowerBound / ring.slotBytes
        precondition((range.upperBound - 1) / ring.slotBytes == slot)
        ring.retain(slot: slot)
        push(.content(slot: slot, offset: range.lowerBound, count: range.count))
    }

    /// The frame's content ends at `position` of the image, for messages.
    func end(checksum: UInt32, of image: ImageJob, at position: UInt64) {
        push(.end(checksum: checksum, image: image, position: position))
    }

    /// No frame will come.
    func end() { state.mutateAndNotify { $0.ended = true } }

    /// Waits until all that came before `end` is verified, or has failed the transfer.
    func waitUntilDone() { state.wait { $0.isDone ? () : nil } }

    private func push(_ item: Item) {
        let wake = state.wait(timing: counters.decode.outputWaitNanoseconds) { state -> Bool? in
            guard state.items.count < Self.itemsMax || state.stopped else { return nil }
            state.items.append(item)
            return state.items.count == 1
        }
        if wake { state.broadcast() }
    }

    // MARK: Its thread

    /// Verifies what comes until `end`; fails the transfer at the first frame that is not what it states.
    func verify(for transfer: TransferState) {
        defer { state.mutateAndNotify { $0.isDone = true } }
        guard let hash = unsafe XXH64_createState() else {
            return transfer.fail(.host(operation: "make a hash", cause: SystemError(ENOMEM)))
        }
        defer { unsafe XXH64_freeState(hash) }
        unsafe XXH64_reset(hash, 0)
        var items: [Item] = []
        while true {
            items.removeAll(keepingCapacity: true)
            state.wait { state -> Void? in
                guard !state.items.isEmpty || state.ended || state.stopped else { return nil }
                if !state.stopped { swap(&items, &state.items) }
                return ()
            }
            if items.isEmpty { return }
            state.broadcast()
            for item in items {
                switch item {
                case .content(let slot, let offset, let count):
                    // SAFETY: decoded, and held: nobody writes there before `release`.
                    unsafe XXH64_update(hash, ring.buffer.address(offset, count: count), count)
                    ring.release(slot: slot)
                case .end(let checksum, let image, let position):
                    let found = unsafe XXH64_digest(hash)
                    unsafe XXH64_reset(hash, 0)
                    guard UInt32(truncatingIfNeeded: found) == checksum else {
                        return transfer.fail(image.corrupt(.wrongChecksum, at: "decoded byte \(position)"))
                    }
                }
            }
        }
    }

    /// Nobody shall wait any longer.
    func stop() { state.mutateAndNotify { $0.stopped = true } }
}
