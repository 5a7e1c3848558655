import Glibc
import Synchronization

/// A decoder. Frames arrive through its pipe and are decoded into its ring, one after another, on its own threads.
///
/// Only the fetch thread that holds the lane (`LanePool.acquire`) starts it and gives it tasks and bytes.
final class Lane: Sendable {
    let pipe: BytePipe
    private let number: Int
    private let ring: SlotRing
    private let verifier: FrameChecksumVerifier
    private let limits: LaneLimits
    private let transfer: TransferState

    private struct Tasks {
        var waiting: [LaneTask] = []
        /// Tasks given and not finished.
        var unfinished = 0
        var ended = false
    }
    private let tasks = Monitor(Tasks())
    private static let tasksMax = 64
    /// Empty until the lane is started.
    private let threads = Mutex(ThreadList())

    init(number: Int, limits: LaneLimits, transfer: TransferState) throws(StreamFault) {
        self.number = number
        self.limits = limits
        self.transfer = transfer
        let pipe: BytePipe
        do throws(SystemError) {
            pipe = try BytePipe(capacityBytes: limits.pipeBytes, counters: transfer.counters)
        } catch {
            throw .host(operation: "reserve memory for a lane", cause: error)
        }
        self.pipe = pipe
        ring = try SlotRing(
            capacityBytes: Int(limits.ringBytes), slotBytes: limits.slotBytes, counters: transfer.counters)
        verifier = FrameChecksumVerifier(ring: ring, counters: transfer.counters)
    }

    var buffer: DirectBuffer { ring.buffer }
    /// Frames given to this lane and not yet decoded. The router prefers the lane with the smallest backlog.
    var backlog: Int { tasks.withLock { $0.unfinished } }

    /// Called by the holder: starts the threads if they are not running. Throws the kernel's error; the lane is then unchanged.
    func start(into queue: ExtentQueue, blockBytes: Int) throws(SystemError) {
        guard threads.withLock({ $0.isEmpty }) else { return }
        let (verifier, transfer) = (verifier, transfer)
        try add("sd-check-\(number)") {
            transfer.counters.decode.measureProcessorTime { verifier.verify(for: transfer) }
        }
        queue.laneStarted()
        do throws(SystemError) {
            try add("sd-decode-\(number)") { [self] in
                transfer.counters.decode.measure { decode(to: queue, blockBytes: blockBytes) }
            }
        } catch {
            queue.laneEnded()
            verifier.stop()
            join()
            throw error
        }
    }

    /// The first lane's threads were reserved in advance. If those of another lane are refused, the existing lanes do its work.
    private func add(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        try threads.withLock { threads throws(SystemError) in
            if number == 0 {
                try threads.append(transfer.threads.start(name: name, body))
            } else {
                try threads.append(WorkerThread(name: name, body))
            }
        }
    }

    /// Waits for the lane's threads, after `end` or `stop`.
    func join() {
        let threads = threads.withLock { $0 }
        threads.joinAll()
    }

    /// Called by the holder. The bytes of a frame follow through `pipe`.
    ///
    /// Blocks while `tasksMax` tasks wait, since a pipe can hold hundreds of thousands of empty frames. All their bytes are in
    /// the pipe, so the decoder makes progress.
    func give(_ task: LaneTask) {
        tasks.wait(timing: transfer.counters.fetch.outputWaitNanoseconds) { tasks -> Void? in
            guard tasks.waiting.count < Self.tasksMax || tasks.ended else { return nil }
            tasks.waiting.append(task)
            tasks.unfinished += 1
            return ()
        }
        tasks.broadcast()
    }

    /// No more tasks will come.
    func end() {
        tasks.mutateAndNotify { $0.ended = true }
        pipe.end()
    }

    /// Makes the lane's threads, and the thread that fills the pipe, return at their next wait.
    func stop() {
        pipe.stop()
        ring.stop()
        verifier.stop()
        tasks.mutateAndNotify { $0.ended = true }
    }

    /// The decode thread: decodes the given frames and hands full slots to `queue`, until `end`. Another thread verifies
    /// checksums; if one is wrong, the transfer has failed by the time this returns.
    private func decode(to queue: ExtentQueue, blockBytes: Int) {
        let fault = decodeFrames(to: queue, blockBytes: blockBytes)
        verifier.end()
        verifier.waitUntilDone()
        // A wrong checksum earlier in the image is reported first, even if both threads found a fault.
        if let fault { transfer.fail(fault) }
        queue.laneEnded()
    }

    private func decodeFrames(to queue: ExtentQueue, blockBytes: Int) -> StreamFault? {
        do throws(StreamFault) {
            guard var decoder = ZstdDecoder() else {
                throw .host(operation: "make a zstd decoder", cause: SystemError(ENOMEM))
            }
            var cursor = SlotCursor(ring: ring, verifier: verifier) { queue.push($0) }
            while let task = nextTask() {
                switch task {
                case .frame(let frame):
                    if !frame.continuesLast {
                        cursor.start(
                            deviceOffset: frame.image.deviceOffset + frame.streamOffset, blockBytes: blockBytes)
                    }
                    var decoding = FrameDecoding(frame: frame, pipe: pipe, limits: limits)
                    try decoding.run(decoder: &decoder, cursor: &cursor, counter: transfer.counters)
                    if frame.nextMayGoElsewhere { try finish(&cursor) }
                case .endOfImage(let image, let streamOffset):
                    try finish(&cursor)
                    let bytes = streamOffset + cursor.streamOffset
                    guard bytes == image.decodedBytes else { throw image.wrongLength(bytes) }
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
        let next = tasks.wait(timing: transfer.counters.decode.inputWaitNanoseconds) { tasks -> LaneTask?? in
            if !tasks.waiting.isEmpty { return .some(tasks.waiting.removeFirst()) }
            return tasks.ended ? .some(nil) : nil
        }
        tasks.broadcast()
        return transfer.stop.isCancelled ? nil : next
    }
}
