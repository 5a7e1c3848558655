/// Reports a session's phases, progress, retries and warnings to the caller, on the caller's thread.
final class ProgressReporter {
    private static let silenceWarningSeconds = 10.0

    let transfer: TransferState
    private let onEvent: (StreamEvent) -> Void
    private let begin = Instant.now
    private var warnedSilenceSeconds = 0.0

    private(set) var phase = StreamPhase.preflight
    /// What the disk holds if the session fails now.
    private(set) var disk: StreamError.DiskState
    /// Nil until it is presented.
    private(set) var plan: StreamPlan?

    init(_ transfer: TransferState, disk: StreamError.DiskState, onEvent: @escaping (StreamEvent) -> Void) {
        self.transfer = transfer
        self.disk = disk
        self.onEvent = onEvent
    }

    func tell(_ event: StreamEvent) { onEvent(event) }

    func warn(_ warning: StreamWarning) { onEvent(.warning(warning)) }

    /// Reports the plan, and then each of its warnings.
    func present(_ plan: StreamPlan) {
        self.plan = plan
        onEvent(.plan(plan))
        for warning in plan.warnings { warn(warning) }
    }

    func enter(_ phase: StreamPhase, disk: StreamError.DiskState) {
        self.phase = phase
        self.disk = disk
        onEvent(.phase(phase))
    }

    /// Turns a silent disk into warnings, so that no run hangs without a message.
    func watch(_ activity: DiskActivity, of plan: StreamPlan, feedSilenceSeconds: Double = 0) {
        let seconds = max(activity.silenceSeconds, feedSilenceSeconds)
        if seconds < warnedSilenceSeconds { warnedSilenceSeconds = 0 }
        guard seconds >= warnedSilenceSeconds + Self.silenceWarningSeconds else { return }
        warnedSilenceSeconds = seconds
        warn(.diskSilent(path: plan.diskPath, seconds: Int(seconds)))
    }

    /// - Parameters:
    ///   - bytesToVerify: bytes of the disk to read and compare.
    ///   - waitingBytes: bytes fetched and not yet decoded.
    ///   - earlyBytes: `ByteSource.earlyBytes`, which counts as fetched.
    ///   - feedSilenceSeconds: `JobFeed.silenceSeconds`.
    func report(
        _ activity: DiskActivity, of plan: StreamPlan, bytesToVerify: UInt64, waitingBytes: Int, earlyBytes: UInt64,
        feedSilenceSeconds: Double
    ) {
        for note in transfer.takeNotes() { onEvent(.retry(note)) }
        let counters = transfer.counters
        let saved = counters.savedBytes.load(ordering: .relaxed)
        onEvent(
            .progress(
                StreamProgress(
                    phase: phase, elapsedSeconds: Instant.now.seconds(since: begin),
                    fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed) + earlyBytes,
                    decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
                    writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
                    zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed), verifiedBytes: activity.comparedBytes,
                    verifiedBytesTotal: bytesToVerify,
                    compressedBytesTotal: plan.compressedBytes - min(plan.compressedBytes, saved),
                    decodedBytesTotal: plan.decodedBytes, partitions: transfer.fetchingNumbers, waitingBytes: waitingBytes,
                    bytesInFlight: activity.bytesInFlight, reusedBytes: counters.reusedBytes.load(ordering: .relaxed))))
        watch(activity, of: plan, feedSilenceSeconds: feedSilenceSeconds)
    }

    func result(_ plan: StreamPlan, isWritten: Bool, verifiedBytes: UInt64 = 0) -> StreamResult {
        let counters = transfer.counters
        return StreamResult(
            plan: plan, isWritten: isWritten, elapsedSeconds: Instant.now.seconds(since: begin),
            fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed),
            decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
            writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
            zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed),
            reusedBytes: counters.reusedBytes.load(ordering: .relaxed), verifiedBytes: verifiedBytes,
            peakMemoryBytes: peakMemoryBytes(), stages: counters.reports)
    }
}
