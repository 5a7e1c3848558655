import Synchronization

/// Fetching, hashing and decoding without a disk: an image through a lane whose writes are done as soon as they are asked for.
/// For measuring.
package struct DecodeProbe: Sendable {
    /// Decoders side by side.
    package var lanes = 1

    package init() {}

    package struct Outcome: Sendable {
        /// From the start of the lanes to their end; the image was inspected before.
        package let seconds: Double
        package let decodedBytes: UInt64
        package let stages: [StageReport]
    }

    package func run(image source: any ImageSource) throws(StreamFault) -> Outcome {
        defer { source.close() }
        let run = RunState()
        let contents = try inspectImage(source, observer: run.observer)
        var writer = try DiskWriter(
            queue: NullQueue(), disk: DiskGeometry(path: "nothing", sizeBytes: .max, blockBytes: 512))
        let plan = try LanePlan(contents, limits: .none, lanesMax: lanes)
        let pool = try LanePool(
            count: plan.lanes, limits: plan.limits, run: run)
        let jobs = ListedJobs(contents.images.map { ImageJob($0) })
        let begin = Instant.now
        try writer.stream(
            jobs: jobs, from: source, lanes: pool, fetchers: pool.lanes.count, run: run, tick: { _ in })
        return Outcome(
            seconds: Instant.now.seconds(since: begin),
            decodedBytes: run.counters.decodedBytes.load(ordering: .relaxed), stages: run.counters.reports)
    }
}

/// A disk that takes everything at once and keeps nothing.
private struct NullQueue: DiskQueue, ~Copyable {
    private final class Waker: QueueWaker {
        let woken = Monitor(false)
        func wake() { woken.update { $0 = true } }
    }

    let engineName = "null"
    let capacity = 64
    var waker: any QueueWaker { sleeper }
    private let sleeper = Waker()
    private var finished: [DiskCompletion] = []

    mutating func submit(_ request: DiskRequest) {
        finished.append(DiskCompletion(tag: request.tag, result: .success(request.lengthBytes)))
    }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        if finished.isEmpty {
            _ = sleeper.woken.wait(until: deadline) { woken -> Bool? in
                guard woken else { return nil }
                woken = false
                return true
            }
        }
        completions += finished
        finished.removeAll(keepingCapacity: true)
    }
}
