/// The state that the threads of a transfer share: the first failure, the stop signal, the counters, and notes for the caller.
package final class TransferState: Sendable {
    /// Stops the threads of the transfer, whatever the reason.
    package let stop = Cancellation()
    package let counters = TransferCounters()
    let threads = ThreadReserve()

    private struct State {
        var failure: StreamFault?
        var notes: [SourceNote] = []
        var fetching: [ImageJob] = []
    }
    private static let notesMax = 64
    private let state = Monitor(State())

    package init() {}

    /// Records the failure if it is the first, and stops the transfer.
    func fail(_ fault: StreamFault) {
        state.withLock { if $0.failure == nil { $0.failure = fault } }
        stop.cancel()
    }

    package var failure: StreamFault? { state.withLock { $0.failure } }

    /// For the source: its notes are kept here until the caller's thread passes them on.
    package var observer: SourceObserver {
        SourceObserver(cancellation: stop) { [self] note in
            state.mutateAndNotify { if $0.notes.count < Self.notesMax { $0.notes.append(note) } }
        }
    }

    /// Records that a fetch thread starts or has finished an image.
    func begin(_ job: ImageJob) { state.withLock { $0.fetching.append(job) } }
    func end(_ job: ImageJob) {
        state.withLock { $0.fetching.removeAll { $0.deviceOffset == job.deviceOffset } }
    }

    /// The partitions of the images that are being fetched, the one that began first before the others.
    var fetchingNumbers: [Int] { state.withLock { $0.fetching.map(\.number) } }

    func takeNotes() -> [SourceNote] {
        state.withLock { state in
            defer { state.notes.removeAll() }
            return state.notes
        }
    }

    /// Waits until there are notes, until `isOver` is true (`wakeNoteReader` re-evaluates it), or until the deadline.
    func waitForNotes(until deadline: Instant, isOver: () -> Bool) {
        _ = state.wait(until: deadline) { !$0.notes.isEmpty || isOver() ? true : nil }
    }

    func wakeNoteReader() { state.mutateAndNotify { _ in } }
}
