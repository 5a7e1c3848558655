import Glibc
import Synchronization

/// One image at a time from the source to the writer: a fetch thread that also hashes, and a decode thread.
final class Lane: Sendable {
    private struct Assigned {
        var jobs: [ImageJob] = []
        var ended = false
    }

    private let pipe: LanePipe
    private let ring: SlotRing
    private let limits: LaneLimits
    private let run: RunState
    /// Images in the order their bytes are in the pipe.
    private let assigned = Monitor(Assigned())

    init(limits: LaneLimits, run: RunState) throws(StreamFault) {
        self.limits = limits
        self.run = run
        pipe = try LanePipe(capacityBytes: limits.pipeBytes, counters: run.counters)
        ring = try SlotRing(capacityBytes: Int(limits.ringBytes), slotBytes: limits.slotBytes, counters: run.counters)
    }

    var buffer: DirectBuffer { ring.buffer }
    /// Fetched and not yet decoded.
    var waitingBytes: Int { pipe.filledBytes }

    /// Makes both threads return as soon as they would wait.
    func stop() {
        pipe.stop()
        ring.stop()
        assigned.update { $0.ended = true }
    }

    // MARK: Fetch thread

    /// Fetches images until the feed has no more; checks each one's hash.
    func fetch(from source: any ImageSource, feed: any JobFeed) {
        do throws(StreamFault) {
            let sink = HashingSink(pipe: pipe, counters: run.counters)
            let observer = run.observer
            while let job = try feed.next(observer: observer) {
                assigned.update { $0.jobs.append(job) }
                do throws(SourceError) {
                    try source.read(job.sourceRange, into: sink, observer: observer)
                } catch {
                    throw StreamFault(error)
                }
                let digest = sink.finish()
                guard digest == job.sha384 else {
                    throw StreamFault.image(
                        job.place, "its SHA-384 is \(digest.hexadecimal), its metadata says \(job.sha384.hexadecimal)")
                }
            }
        } catch {
            run.fail(error)
        }
        assigned.update { $0.ended = true }
        pipe.end()
    }

    // MARK: Decode thread

    /// Decodes what was fetched into the ring and hands full slots to `inbox`, until the fetch thread has no more.
    func decode(to inbox: WriteInbox, blockBytes: Int) {
        do throws(StreamFault) {
            guard var decoder = ZstdDecoder() else {
                throw .host(operation: "make a zstd decoder", cause: SystemError(ENOMEM))
            }
            var cursor = SlotCursor(ring: ring) { inbox.push($0) }
            while let job = nextAssigned() {
                cursor.start(deviceOffset: job.deviceOffset, blockBytes: blockBytes)
                var image = ImageDecoding(job: job, pipe: pipe, limits: limits)
                try image.run(decoder: &decoder, cursor: &cursor, counter: run.counters)
            }
        } catch {
            run.fail(error)
        }
        inbox.laneEnded()
    }

    private func nextAssigned() -> ImageJob? {
        let next = assigned.wait { assigned -> ImageJob?? in
            if !assigned.jobs.isEmpty { return .some(assigned.jobs.removeFirst()) }
            return assigned.ended ? .some(nil) : nil
        }
        return run.stop.isCancelled ? nil : next
    }
}

/// The sizes a lane is built with, all bounded beforehand.
struct LaneLimits: Sendable {
    /// The largest window any frame may ask for.
    var windowBytesMax: UInt64
    var ringBytes: UInt64
    var slotBytes: Int
    /// Room for writes in flight beside the window.
    var inFlightBytes: Int
    var pipeBytes: Int
}

/// Hashes what passes, on the fetch thread while it is in its cache, and hands it to the pipe.
private final class HashingSink: ByteSink, @unchecked Sendable {
    // SAFETY: used by the fetch thread only, which also made it.
    private var hash = SHA384()
    private let pipe: LanePipe
    private let counters: Counters

    init(pipe: LanePipe, counters: Counters) {
        self.pipe = pipe
        self.counters = counters
    }

    func append(_ bytes: RawSpan) throws(SourceError) {
        hash.update(bytes)
        counters.fetchedBytes.wrappingAdd(UInt64(bytes.byteCount), ordering: .relaxed)
        try pipe.append(bytes)
    }

    func finish() -> [UInt8] { hash.finish() }
}
