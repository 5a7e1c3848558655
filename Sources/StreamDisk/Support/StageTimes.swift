import Glibc
import Synchronization

/// Where one stage spent its time, summed over its threads, in seconds.
package struct StageReport: Sendable {
    /// The stages of a transfer.
    package enum Stage: String, Sendable, CaseIterable { case fetch, decode, write }

    /// The stage.
    package let stage: Stage
    /// Bytes that passed it: compressed for fetch, decoded for the others.
    package let bytes: UInt64
    /// From the start of its threads to their end.
    package let elapsedSeconds: Double
    /// Processor time of its threads, user and kernel mode.
    package let cpuSeconds: Double
    /// Time spent waiting for the stage before.
    package let waitingForInputSeconds: Double
    /// Time spent waiting for the stage after.
    package let waitingForOutputSeconds: Double

    /// Time spent waiting for neither; at least `cpuSeconds`, more if processors were shared.
    package var busySeconds: Double { max(cpuSeconds, elapsedSeconds - waitingForInputSeconds - waitingForOutputSeconds) }
}

/// The counters behind a `StageReport`. Only actual waits are measured, so they cost nothing when nothing waits.
package final class StageTimes: Sendable {
    let inputWaitNanoseconds = Atomic<UInt64>(0)
    let outputWaitNanoseconds = Atomic<UInt64>(0)
    private let elapsedNanoseconds = Atomic<UInt64>(0)
    private let cpuNanoseconds = Atomic<UInt64>(0)

    /// Runs the body of one of the stage's threads and adds its time.
    package func measure<Value: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let start = (Instant.now.nanoseconds, Self.threadNanoseconds)
        defer {
            elapsedNanoseconds.wrappingAdd(Instant.now.nanoseconds - start.0, ordering: .relaxed)
            cpuNanoseconds.wrappingAdd(Self.threadNanoseconds - start.1, ordering: .relaxed)
        }
        return try body()
    }

    /// Runs the body of a helper thread: its processor time counts for the stage, its waits do not.
    func measureProcessorTime(_ body: () -> Void) {
        let start = Self.threadNanoseconds
        body()
        cpuNanoseconds.wrappingAdd(Self.threadNanoseconds - start, ordering: .relaxed)
    }

    func addWait(since start: Instant, forOutput: Bool) {
        let waited = Instant.now.nanoseconds - start.nanoseconds
        if forOutput {
            outputWaitNanoseconds.wrappingAdd(waited, ordering: .relaxed)
        } else {
            inputWaitNanoseconds.wrappingAdd(waited, ordering: .relaxed)
        }
    }

    /// - Parameter isInputTheRest: counts all time that is neither processor time nor output wait as waiting for input. For a
    ///   stage that waits for input inside libcurl and the kernel, where it cannot be measured.
    func report(_ stage: StageReport.Stage, bytes: UInt64, isInputTheRest: Bool = false) -> StageReport {
        let elapsed = Double(elapsedNanoseconds.load(ordering: .relaxed)) / 1e9
        let cpu = Double(cpuNanoseconds.load(ordering: .relaxed)) / 1e9
        let output = Double(outputWaitNanoseconds.load(ordering: .relaxed)) / 1e9
        let input = Double(inputWaitNanoseconds.load(ordering: .relaxed)) / 1e9
        return StageReport(
            stage: stage, bytes: bytes, elapsedSeconds: elapsed, cpuSeconds: cpu,
            waitingForInputSeconds: isInputTheRest ? max(0, elapsed - cpu - output) : input,
            waitingForOutputSeconds: output)
    }

    /// CLOCK_THREAD_CPUTIME_ID of the calling thread.
    static var threadNanoseconds: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
