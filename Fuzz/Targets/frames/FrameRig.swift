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
        let transfer = TransferState()
        let inFlightBytes = 128 << 10
        let limits = LaneLimits(
            windowBytesMax: 1 << UInt64(windowLog),
            ringBytes: SlotRing.lapBytes(
                windowBytes: 1 << UInt64(windowLog), contentBytes: statedBytes, blockBytesMax: LanePlan.blockBytesMax,
                inFlightBytes: inFlightBytes),
            slotBytes: 64 << 10, inFlightBytes: inFlightBytes, pipeBytes: 2 * BytePipe.pieceBytesMax)
        let job = ImageJob(
            name: "fuzzed", sourceRange: 0..<UInt64(compressed.count), sha384: SHA384.digest(of: compressed),
            decodedBytes: statedBytes, deviceOffset: Self.deviceOffset)
        var collector = Collector(statedBytes: statedBytes, deviceOffset: Self.deviceOffset)
        do throws(StreamFault) {
            let pipeline = try Pipeline(
                ListedJobs([job]), from: PieceSource(bytes: compressed, pieceBytes: pieceBytes),
                plan: LanePlan(lanes: lanes, limits: limits), for: collector, transfer: transfer)
            try pipeline.run(into: &collector, tick: { _ in })
        } catch {
            return (collector.whole, error)
        }
        return (collector.whole, nil)
    }
}

/// Keeps what it is given: every extent in its place, whole blocks, none outside the image, none twice.
private struct Collector: ExtentConsumer, ~Copyable {
    private let bell = ConditionWaker()
    private let statedBytes: UInt64
    private let deviceOffset: UInt64
    private var output: [UInt8]
    private var isWritten: [Bool]

    var waker: any QueueWaker { bell }
    let blockBytes = 512
    let wantsChecksums = false

    init(statedBytes: UInt64, deviceOffset: UInt64) {
        self.statedBytes = statedBytes
        self.deviceOffset = deviceOffset
        let blocks = Int((statedBytes + 511) / 512)
        output = [UInt8](repeating: 0xAA, count: blocks * 512)
        isWritten = [Bool](repeating: false, count: blocks)
    }

    /// Empty where something is missing.
    var whole: [UInt8] { Array(output.prefix(isWritten.allSatisfy { $0 } ? Int(statedBytes) : 0)) }

    mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void) {
        var extents: [DecodedExtent] = []
        while true {
            let isMore = queue.take(into: &extents)
            for extent in extents { keep(extent) }
            extents.removeAll()
            if !isMore { break }
            if queue.willWait() { bell.wait(until: .after(seconds: 1)) }
        }
    }

    private mutating func keep(_ extent: DecodedExtent) {
        require(extent.deviceOffset >= deviceOffset, "an extent before the image")
        let at = Int(extent.deviceOffset - deviceOffset)
        let end = at + extent.lengthBytes
        require(at % 512 == 0 && extent.lengthBytes % 512 == 0 && extent.lengthBytes > 0, "a broken block")
        require(end <= output.count, "an extent after the image: \(at)+\(extent.lengthBytes)")
        for block in at / 512..<end / 512 {
            require(!isWritten[block], "block \(block) was written twice")
            isWritten[block] = true
        }
        if let memory = extent.memory {
            memory.ring.buffer.withBytes(memory.ringOffset, count: extent.lengthBytes) { bytes in
                unsafe bytes.withUnsafeBytes { unsafe output.replaceSubrange(at..<end, with: $0) }
            }
        } else {
            for index in at..<end { output[index] = 0 }
        }
        extent.release()
    }
}

final class PieceSource: ByteSource {
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
            do throws(Stopped) {
                try unsafe sink.append(all.span.bytes.extracting(start..<min(start + pieceBytes, all.count)))
            } catch {
                throw SourceError(.stopped, source: name, reason: "stopped")
            }
        }
    }

    func close() {}
}
