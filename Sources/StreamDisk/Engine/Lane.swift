import Glibc

/// One decoder: frames come through its pipe and go into its ring, one after another, on a thread of its own.
///
/// A fetch thread that holds the lane (`LanePool.acquire`) is the only one that gives it tasks and bytes.
final class Lane: Sendable {
    let pipe: BytePipe
    private let ring: SlotRing
    private let check: ContentCheck
    private let limits: LaneLimits
    private let run: RunState

    private struct Tasks {
        var waiting: [LaneTask] = []
        /// Given and not finished.
        var unfinished = 0
        var ended = false
    }
    private let tasks = Monitor(Tasks())
    private static let tasksMax = 64

    init(limits: LaneLimits, run: RunState) throws(StreamFault) {
        self.limits = limits
        self.run = run
        let pipe: BytePipe
        do throws(SystemError) {
            pipe = try BytePipe(capacityBytes: limits.pipeBytes, counters: run.counters)
        } catch {
            throw .host(operation: "reserve memory for a lane", cause: error)
        }
        self.pipe = pipe
        ring = try SlotRing(
            capacityBytes: Int(limits.ringBytes), slotBytes: limits.slotBytes,
            counters: run.counters)
        check = ContentCheck(ring: ring, counters: run.counters)
    }

    var buffer: DirectBuffer { ring.buffer }
    /// How much it has to do still: the fewer the better for the next frame.
    var backlog: Int { tasks.withLock { $0.unfinished } }

    /// From the holder. The bytes of a frame follow through `pipe`.
    ///
    /// Waits while `tasksMax` are waiting: a pipe can hold hundreds of thousands of empty frames. All the bytes of those are
    /// in the pipe, so the decoder gets on.
    func give(_ task: LaneTask) {
        tasks.wait(timing: run.counters.fetch.outputWaitNanoseconds) { tasks -> Void? in
            guard tasks.waiting.count < Self.tasksMax || tasks.ended else { return nil }
            tasks.waiting.append(task)
            tasks.unfinished += 1
            return ()
        }
        tasks.broadcast()
    }

    /// No more tasks will come.
    func end() {
        tasks.update { $0.ended = true }
        pipe.end()
    }

    /// Makes the decode thread, and whoever fills the pipe, return as soon as they would wait.
    func stop() {
        pipe.stop()
        ring.stop()
        check.stop()
        tasks.update { $0.ended = true }
    }

    /// The decode thread: decodes what is given and hands full slots to `inbox`, until `end`. Checksums are looked at on another
    /// thread, and what is wrong with them has failed the run when this returns.
    func decode(to inbox: WriteInbox, number: Int = 0, blockBytes: Int) {
        let (check, run) = (self.check, self.run)
        do throws(SystemError) {
            let checker = try run.threads.start(name: "sd-check-\(number)") {
                run.counters.decode.measureProcessorTime { check.check(for: run) }
            }
            let fault = decodeFrames(to: inbox, blockBytes: blockBytes)
            check.end()
            checker.join()
            // A wrong checksum before it comes first, also where both threads found something.
            if let fault { run.fail(fault) }
        } catch {
            run.fail(.host(operation: "start a thread", cause: error))
        }
        inbox.laneEnded()
    }

    private func decodeFrames(to inbox: WriteInbox, blockBytes: Int) -> StreamFault? {
        do throws(StreamFault) {
            guard var decoder = ZstdDecoder() else {
                throw .host(operation: "make a zstd decoder", cause: SystemError(ENOMEM))
            }
            var cursor = SlotCursor(ring: ring, check: check) { inbox.push($0) }
            while let task = nextTask() {
                switch task {
                case .frame(let frame):
                    if !frame.continuesLast {
                        cursor.start(
                            deviceOffset: frame.image.deviceOffset + frame.streamOffset, blockBytes: blockBytes)
                    }
                    var decoding = FrameDecoding(frame: frame, pipe: pipe, limits: limits)
                    try decoding.run(decoder: &decoder, cursor: &cursor, counter: run.counters)
                    if frame.nextMayGoElsewhere { try finish(&cursor) }
                case .endOfImage(let image, let streamOffset):
                    try finish(&cursor)
                    let bytes = streamOffset + cursor.streamOffset
                    guard bytes == image.uncompressedBytes else {
                        throw .image(
                            image.place, "it decodes to \(bytes) bytes, its metadata says \(image.uncompressedBytes)")
                    }
                }
                tasks.withLock { $0.unfinished -= 1 }
            }
        } catch {
            return error
        }
        return nil
    }

    private func finish(_ cursor: inout SlotCursor) throws(StreamFault) {
        do throws(Stopped) { try cursor.finish() } catch { throw .cancelled }
    }

    private func nextTask() -> LaneTask? {
        let next = tasks.wait(timing: run.counters.decode.inputWaitNanoseconds) { tasks -> LaneTask?? in
            if !tasks.waiting.isEmpty { return .some(tasks.waiting.removeFirst()) }
            return tasks.ended ? .some(nil) : nil
        }
        tasks.broadcast()
        return run.stop.isCancelled ? nil : next
    }
}

enum LaneTask: Sendable {
    case frame(FrameTask)
    /// The image ends with the frame before, whose lane-local stream began at `streamOffset`.
    case endOfImage(ImageJob, streamOffset: UInt64)
}

/// One frame of an image.
struct FrameTask: Sendable {
    let image: ImageJob
    let header: ZstdFrameHeader
    /// Where the run of frames that this one belongs to begins in the decoded image.
    let streamOffset: UInt64
    /// It goes on where the lane's last frame ended.
    let continuesLast: Bool
    /// It ends at a known place from which another lane can write.
    let nextMayGoElsewhere: Bool
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

    /// How much of the ring a frame goes through before it begins again at its start.
    func lapBytes(_ header: ZstdFrameHeader, contentBytesMax: UInt64) -> Int {
        Int(
            SlotRing.lapBytes(
                windowBytes: header.windowBytes, contentBytes: header.contentBytes ?? contentBytesMax,
                blockBytesMax: header.blockBytesMax, inFlightBytes: inFlightBytes))
    }
}
