import Glibc
import Synchronization

/// Where the time of one stage went, summed over its threads. Seconds.
public struct StageReport: Sendable {
    /// The stages that a byte passes.
    public enum Stage: String, Sendable, CaseIterable { case fetch, decode, write }

    /// Which.
    public let stage: Stage
    /// What passed: compressed bytes for fetch, decompressed ones for the others.
    public let bytes: UInt64
    /// From the start of its threads to their end.
    public let elapsedSeconds: Double
    /// What its threads used of a processor, in user and kernel mode.
    public let cpuSeconds: Double
    /// For the stage before it.
    public let waitingForInputSeconds: Double
    /// For the stage behind it.
    public let waitingForOutputSeconds: Double

    /// Neither waiting for the stage before nor for the one behind; at least `cpuSeconds`, more where it had to share cores.
    public var busySeconds: Double { max(cpuSeconds, elapsedSeconds - waitingForInputSeconds - waitingForOutputSeconds) }
}

/// The counters behind a `StageReport`. Waits are only measured when there is one, so it costs nothing to leave it on.
package final class StageTimes: Sendable {
    let inputWaitNanoseconds = Atomic<UInt64>(0)
    let outputWaitNanoseconds = Atomic<UInt64>(0)
    private let elapsedNanoseconds = Atomic<UInt64>(0)
    private let cpuNanoseconds = Atomic<UInt64>(0)

    /// Runs the body of one of the stage's threads and adds up its time.
    package func measure<Value: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let start = (Instant.now.nanoseconds, Self.threadNanoseconds)
        defer {
            elapsedNanoseconds.wrappingAdd(Instant.now.nanoseconds - start.0, ordering: .relaxed)
            cpuNanoseconds.wrappingAdd(Self.threadNanoseconds - start.1, ordering: .relaxed)
        }
        return try body()
    }

    /// Runs the body of a thread that helps the stage: its processor time counts, its waiting is not the stage's.
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

    /// - Parameter isInputTheRest: what is neither processor time nor output wait was spent waiting for input; for a stage
    ///   whose input waits happen out of sight, inside libcurl and the kernel.
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
