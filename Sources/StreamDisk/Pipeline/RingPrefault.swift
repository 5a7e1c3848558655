/// Prefaults the first lane's ring just ahead of its decoder: on a virtual machine, touching that memory for the first time can
/// cost a third as much as decoding.
///
/// If huge pages are slow to obtain, all rings switch to small ones. A hypervisor reclaims free memory in blocks of at least a
/// huge page; small pages come from what it has left (docs/decisions/0005).
final class RingPrefault: Sendable {
    private enum State {
        /// The first frame has not arrived.
        case waiting
        case requested(DirectBuffer, bytes: Int)
        /// Prefaulting is done or no longer needed.
        case done
    }
    private let state = Monitor(State.waiting)
    private let slowPages = Monitor(false)

    /// The processor time that a huge page may cost before rings switch to small ones: several times what zeroing 2 MiB takes,
    /// and a fraction of the cost if the hypervisor has to provide the memory first.
    private static let hugePageNanosecondsMax: UInt64 = 1_000_000
    private static let slowPagesMax = 2

    /// Whether new rings should use small pages.
    var usesSmallPages: Bool { slowPages.withLock { $0 } }

    /// The first frame of the transfer will use `bytes` of its ring. Later requests are ignored.
    func request(_ buffer: DirectBuffer, bytes: Int) {
        state.mutateAndNotify { if case .waiting = $0 { $0 = .requested(buffer, bytes: bytes) } }
    }

    /// The body of the prefault thread: waits for the request and carries it out. Ends early if the transfer does.
    func run(_ transfer: TransferState) {
        defer { cancel() }
        let requested = state.wait { state -> (buffer: DirectBuffer, bytes: Int)?? in
            switch state {
            case .waiting: nil
            case .requested(let buffer, let bytes): .some((buffer, bytes))
            case .done: .some(nil)
            }
        }
        guard let (buffer, bytes) = requested else { return }
        let stepBytes = DirectBuffer.hugePageBytes
        var slow = 0
        for offset in stride(from: 0, to: bytes, by: stepBytes) {
            if transfer.stop.isCancelled { return }
            let begin = StageTimes.threadNanoseconds
            buffer.populate(offset, count: min(stepBytes, bytes - offset))
            guard StageTimes.threadNanoseconds - begin > Self.hugePageNanosecondsMax else { continue }
            slow += 1
            if slow == Self.slowPagesMax {
                buffer.useSmallPages()
                slowPages.withLock { $0 = true }
            }
        }
    }

    /// Waits until prefaulting is done or no longer needed.
    func wait() { state.wait { state -> Void? in if case .done = state { () } else { nil } } }

    /// Cancels prefaulting and ends all waits.
    func cancel() { state.mutateAndNotify { $0 = .done } }
}
