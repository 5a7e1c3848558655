/// Brings in the pages of the first lane's ring just ahead of its decoder: on a virtual machine, touching that memory for the first
/// time can cost a third as much as decoding.
///
/// If huge pages are slow to obtain, all rings switch to small ones. A hypervisor that takes free memory back takes it in blocks of
/// at least that size; small pages come from what it has left (docs/decisions/0005).
final class RingPrefault: Sendable {
    private enum State {
        /// The first frame has not come.
        case waiting
        case requested(DirectBuffer, bytes: Int)
        /// The pages are in, or nobody needs them any more.
        case done
    }
    private let state = Monitor(State.waiting)
    private let slowPages = Monitor(false)

    /// The processor time that one huge page may cost before small ones are taken: several times what it takes to zero 2 MiB, and
    /// a fraction of what it takes where the hypervisor must find the memory first.
    private static let hugePageNanosecondsMax: UInt64 = 1_000_000
    private static let slowPagesMax = 2

    /// Whether rings that are made from now on should use small pages.
    var usesSmallPages: Bool { slowPages.withLock { $0 } }

    /// The first frame of the transfer will use so many bytes of its ring. Later requests are not heard.
    func request(_ buffer: DirectBuffer, bytes: Int) {
        state.mutateAndNotify { if case .waiting = $0 { $0 = .requested(buffer, bytes: bytes) } }
    }

    /// The body of its thread: waits for the request and carries it out. Ends early when the transfer does.
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

    /// Waits until the pages are in, or nobody needs them.
    func wait() { state.wait { state -> Void? in if case .done = state { () } else { nil } } }

    /// Nobody shall wait any longer.
    func cancel() { state.mutateAndNotify { $0 = .done } }
}
