import CXXHash
import CosiFormat
import Glibc

/// How the content of a frame is hashed.
enum FrameHash: Sendable {
    /// The frame's own checksum.
    case xxh64
    /// The content index's.
    case sha256

    /// What the content must have.
    enum Value: Sendable {
        case xxh64(UInt32)
        case sha256(ContentHash)
    }
}

/// Verifies the content checksums of a lane's frames (RFC 8878 §3.1.1: the low four bytes of XXH64 of the decoded content) on a
/// separate thread: the decoder limits most runs, and this is a tenth of its work. For frames that a content index lists, verifies the
/// index's SHA-256 in its place.
///
/// The decode thread passes on each range it has decoded, and the checksum that the frame states. A slot is retained until it
/// is verified, which bounds how far the decoder can get ahead. The lane ends only after its verifier.
final class FrameChecksumVerifier: Sendable {
    private enum Item {
        /// The next bytes of the frame, all in one slot.
        case content(slot: Int, offset: Int, count: Int, FrameHash)
        /// The frame ends and must have had this content.
        case end(FrameHash.Value, image: ImageJob, position: UInt64)
    }

    private struct State {
        var items: [Item] = []
        var ended = false
        var stopped = false
        /// The verifier's thread has ended.
        var isDone = false
    }
    private let state = Monitor(State())
    private let ring: SlotRing
    private let counters: TransferCounters
    /// A ring has few slots; the bound is for frames without content, which hold none.
    private static let itemsMax = 256

    init(ring: SlotRing, counters: TransferCounters) {
        self.ring = ring
        self.counters = counters
    }

    // MARK: Called on the decode thread

    /// Part of a frame that has a hash. The bytes do not change while their slot is retained.
    func content(_ range: Range<Int>, _ hash: FrameHash) {
        guard !range.isEmpty else { return }
        let slot = range.lowerBound / ring.slotBytes
        precondition((range.upperBound - 1) / ring.slotBytes == slot)
        ring.retain(slot: slot)
        push(.content(slot: slot, offset: range.lowerBound, count: range.count, hash))
    }

    /// The frame's content ends at `position` of the image (for messages).
    func end(_ value: FrameHash.Value, of image: ImageJob, at position: UInt64) {
        push(.end(value, image: image, position: position))
    }

    /// No more frames will come.
    func end() { state.mutateAndNotify { $0.ended = true } }

    /// Waits until everything before `end` is verified or has failed the transfer.
    func waitUntilDone() { state.wait { $0.isDone ? () : nil } }

    private func push(_ item: Item) {
        let wake = state.wait(timing: counters.decode.outputWaitNanoseconds) { state -> Bool? in
            guard state.items.count < Self.itemsMax || state.stopped else { return nil }
            state.items.append(item)
            return state.items.count == 1
        }
        if wake { state.broadcast() }
    }

    // MARK: The verifier's thread

    /// Verifies items until `end`. Fails the transfer at the first wrong checksum.
    func verify(for transfer: TransferState) {
        defer { state.mutateAndNotify { $0.isDone = true } }
        guard let hash = unsafe XXH64_createState() else {
            return transfer.fail(.host(operation: "make a hash", cause: SystemError(ENOMEM)))
        }
        defer { unsafe XXH64_freeState(hash) }
        unsafe XXH64_reset(hash, 0)
        var sha256 = MessageDigest(.sha256)
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
                case .content(let slot, let offset, let count, .sha256):
                    ring.buffer.withBytes(offset, count: count) { sha256.update($0) }
                    ring.release(slot: slot)
                case .end(.sha256(let expected), let image, let position):
                    guard ContentHash(sha256.finish()) == expected else {
                        return transfer.fail(image.notListed(before: position))
                    }
                case .content(let slot, let offset, let count, .xxh64):
                    // SAFETY: the slot is decoded and retained: no thread writes there before `release`.
                    unsafe XXH64_update(hash, ring.buffer.address(offset, count: count), count)
                    ring.release(slot: slot)
                case .end(.xxh64(let checksum), let image, let position):
                    let found = unsafe XXH64_digest(hash)
                    unsafe XXH64_reset(hash, 0)
                    guard UInt32(truncatingIfNeeded: found) == checksum else {
                        return transfer.fail(image.corrupt(.wrongChecksum, at: "decoded byte \(position)"))
                    }
                }
            }
        }
    }

    /// Aborts all waits.
    func stop() { state.mutateAndNotify { $0.stopped = true } }
}
