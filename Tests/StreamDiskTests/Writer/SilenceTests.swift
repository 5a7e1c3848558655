import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

/// A disk that answers nothing for a while after each request.
private struct SleepyQueue: DiskQueue, ~Copyable {
    static let sleepSeconds = 0.15

    let engineName = "sleepy"
    var capacity: Int { disk.capacity }
    var waker: any QueueWaker { disk.waker }
    private var disk: SimulatedQueue
    private var awakeAt = Instant.now

    init(_ medium: SimulatedMedium) { disk = SimulatedQueue(medium) }

    mutating func submit(_ request: DiskRequest) {
        awakeAt = .after(seconds: Self.sleepSeconds)
        disk.submit(request)
    }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        let now = Instant.now
        guard now < awakeAt else { return disk.reap(until: deadline, into: &completions) }
        usleep(UInt32(max(0, min(deadline.seconds(since: now), awakeAt.seconds(since: now))) * 1e6))
    }
}

@Suite("A disk that keeps silent is heard of")
struct SilenceTests {
    @Test("In every step of the order of writes", arguments: [SimulatedRun.Goal.write, .writeAndReadBack])
    func everyStep(goal: SimulatedRun.Goal) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let geometry = DiskGeometry(
            path: "sleepy", sizeBytes: UInt64(medium.before.count), blockBytes: medium.blockBytes)
        var writer = try DiskWriter(
            queue: SleepyQueue(medium), disk: geometry,
            options: .init(readsBack: goal == .writeAndReadBack, tickSeconds: 0.02))
        let state = TransferState()
        let plan = try LanePlan(windowBytesMax: 1 << 16, largestBytes: 1 << 20, lanesMax: 1)
        let pipeline = try Pipeline(
            ListedJobs(run.jobs), from: MemorySource(run.source), plan: plan, for: writer, transfer: state)

        var longest = 0.0
        func expectHeard(_ step: Comment) {
            #expect(longest > SleepyQueue.sleepSeconds / 2, step)
            longest = 0
        }
        let invalidated = try writer.invalidate(run.placement, gaps: run.areas.gaps) { longest = max(longest, $0.silenceSeconds) }
        expectHeard("invalidate")
        let written = try writer.write(invalidated, run.areas, from: pipeline) { longest = max(longest, $0.silenceSeconds) }
        expectHeard("write")
        var flushed = 0.0
        let verified = try writer.flush(written, willReadBack: { (flushed, longest) = (longest, 0) }) {
            longest = max(longest, $0.silenceSeconds)
        }
        if goal == .writeAndReadBack { #expect(flushed > SleepyQueue.sleepSeconds / 2, "flush") }
        expectHeard("flush or read-back")
        try writer.commit(verified, run.placement) { longest = max(longest, $0.silenceSeconds) }
        expectHeard("commit")
        let tables = run.tables(medium.bytes)
        #expect(tables == [.primary(guid: 0x11), .backup(guid: 0x11)])
    }
}
