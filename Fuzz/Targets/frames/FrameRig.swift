import Glibc
import Synchronization
@testable import StreamDisk

/// The lanes as they are, between bytes in memory and a writer that keeps what it is given.
struct FrameRig {
    let compressed: [UInt8]
    let statedBytes: UInt64
    let lanes: Int
    let windowLog: Int
    let pieceBytes: Int

    /// Where the image lies on the disk.
    private static let deviceOffset: UInt64 = 1 << 20

    func run() -> (output: [UInt8], fault: StreamFault?) {
        let run = RunState()
        let inFlightBytes = 128 << 10
        let limits = LaneLimits(
            windowBytesMax: 1 << UInt64(windowLog),
            ringBytes: SlotRing.lapBytes(
                windowBytes: 1 << UInt64(windowLog), contentBytes: statedBytes, blockBytesMax: LanePlan.blockBytesMax,
                inFlightBytes: inFlightBytes),
            slotBytes: 64 << 10, inFlightBytes: inFlightBytes, pipeBytes: 2 * BytePipe.pieceBytesMax)
        let job = ImageJob(
            name: "fuzzed", sourceRange: 0..<UInt64(compressed.count), sha384: SHA384.digest(of: compressed),
            uncompressedBytes: statedBytes, deviceOffset: Self.deviceOffset)
        guard let pool = try? LanePool(count: lanes, limits: limits, run: run) else {
            fatalError("no memory for the lanes")
        }
        let bell = Bell()
        let inbox = WriteInbox(lanes: lanes, waker: bell)
        let source = PieceSource(bytes: compressed, pieceBytes: pieceBytes)
        let output = run.stop.withHandler({
            pool.stop()
            bell.wake()
        }) {
            var threads = ThreadList()
            do throws(SystemError) {
                for lane in pool.lanes {
                    try threads.append(WorkerThread(name: "decode") { lane.decode(to: inbox, blockBytes: 512) })
                }
                try threads.append(
                    WorkerThread(name: "fetch") {
                        fetchImages(ListedJobs([job]), from: source, pool: pool, run: run)
                        pool.end()
                    })
            } catch {
                fatalError("no thread: \(error)")
            }
            defer { threads.joinAll() }
            return drain(inbox, bell)
        }
        return (output, run.failure)
    }

    /// The writer: every piece in its place, whole blocks, none outside the image.
    private func drain(_ inbox: WriteInbox, _ bell: Bell) -> [UInt8] {
        let blocks = Int((statedBytes + 511) / 512 * 512)
        var output = [UInt8](repeating: 0xAA, count: blocks)
        var isWritten = [Bool](repeating: false, count: blocks / 512)
        var pieces: [SlotWrite] = []
        while true {
            let isAtWork = inbox.take(into: &pieces)
            for piece in pieces {
                require(piece.deviceOffset >= Self.deviceOffset, "a piece before the image")
                let at = Int(piece.deviceOffset - Self.deviceOffset)
                require(at % 512 == 0 && piece.lengthBytes % 512 == 0 && piece.lengthBytes > 0, "a broken block")
                require(at + piece.lengthBytes <= blocks, "a piece behind the image: \(at)+\(piece.lengthBytes)")
                for block in at / 512..<(at + piece.lengthBytes) / 512 {
                    require(!isWritten[block], "block \(block) was written twice")
                    isWritten[block] = true
                }
                guard let memory = piece.memory else {
                    for index in at..<at + piece.lengthBytes { output[index] = 0 }
                    continue
                }
                memory.ring.buffer.withBytes(memory.ringOffset, count: piece.lengthBytes) { bytes in
                    unsafe bytes.withUnsafeBytes { unsafe output.replaceSubrange(at..<at + piece.lengthBytes, with: $0) }
                }
                memory.ring.writeEnded(slot: memory.slot)
            }
            pieces.removeAll()
            if !isAtWork { break }
            if inbox.willWait() { bell.wait() }
        }
        return Array(output.prefix(isWritten.allSatisfy { $0 } ? Int(statedBytes) : 0))
    }
}

final class Bell: QueueWaker {
    private let rung = Monitor(false)

    func wake() { rung.update { $0 = true } }

    func wait() {
        rung.wait { rung -> Void? in
            defer { rung = false }
            return rung ? () : nil
        }
    }
}

final class PieceSource: ImageSource {
    let name = "fuzzed"
    private let bytes: [UInt8]
    private let pieceBytes: Int

    init(bytes: [UInt8], pieceBytes: Int) {
        self.bytes = bytes
        self.pieceBytes = pieceBytes
    }

    func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        ImageHead(bytes: [], sizeBytes: UInt64(bytes.count), isSequential: false)
    }

    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        let all = bytes
        for start in stride(from: 0, to: all.count, by: pieceBytes) {
            try unsafe sink.append(all.span.bytes.extracting(start..<min(start + pieceBytes, all.count)))
        }
    }

    func close() {}
}
