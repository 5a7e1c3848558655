import Synchronization

@testable import StreamDisk
@testable import TestSupport

/// A lane as it is, between a source in memory and a writer that lets go of slots late and in any order, and looks at their
/// bytes only then: a slot that is overwritten too early shows, and so does a window that is.
struct DecodingRig: Sendable {
    struct Image: Sendable {
        let compressed: [UInt8]
        /// What should come out.
        let original: [UInt8]
        /// What the metadata says of its length; the original's, unless a test lies.
        var statedBytes: UInt64

        init(_ compressed: [UInt8], original: [UInt8], statedBytes: UInt64? = nil) {
            self.compressed = compressed
            self.original = original
            self.statedBytes = statedBytes ?? UInt64(original.count)
        }
    }

    struct Outcome: Sendable {
        var fault: StreamFault?
        /// Rules that hold for any input: alignment, bounds, order, nothing handed out twice at once.
        var violations: [String] = []
        /// Pieces whose bytes were not the original's.
        var mismatches: [String] = []
        var bytesOut: UInt64 = 0
        /// How often the ring began anew.
        var laps = 0
        var isHung = false

        var imageProblem: String? {
            guard case .image(let error)? = fault else { return nil }
            return error.problem
        }
    }

    /// Decoders side by side; one fetch thread feeds them.
    var lanes = 1
    var slotBytes = 64 << 10
    var inFlightBytes = 64 << 10
    var windowBytesMax: UInt64 = 1 << 27
    var blockBytes = 512
    var seed: UInt64 = 0
    /// Whether the hash that the metadata states is that of the bytes delivered.
    var isHashRight = true
    var timeoutSeconds = 60.0

    func run(_ images: [Image]) throws -> Outcome {
        let largest = images.map(\.statedBytes).max() ?? 0
        let limits = LaneLimits(
            windowBytesMax: windowBytesMax,
            ringBytes: SlotRing.lapBytes(
                windowBytes: windowBytesMax, contentBytes: largest, blockBytesMax: 128 << 10,
                inFlightBytes: inFlightBytes),
            slotBytes: slotBytes, inFlightBytes: inFlightBytes, pipeBytes: 2 * BytePipe.pieceBytesMax)
        let (jobs, bytes) = place(images)
        let transfer = TransferState()
        let outcome = Mutex(Outcome())
        let source = MemorySource(bytes, seed: seed)
        let plan = LanePlan(lanes: lanes, limits: limits)
        let expected = zip(jobs, images).map { job, image in
            LateReader.Expected(deviceOffset: job.deviceOffset, statedBytes: image.statedBytes, bytes: image.original)
        }
        let (seed, slotBytes, blockBytes, lanes) = (self.seed, self.slotBytes, self.blockBytes, self.lanes)
        let finished = try finishes(within: timeoutSeconds) {
            var reader = LateReader(
                expected: expected, slotBytes: slotBytes, blockBytes: blockBytes, isInOrder: lanes == 1, seed: seed)
            do throws(StreamFault) {
                let pipeline = try Pipeline(
                    ListedJobs(jobs, concurrentMax: 1), from: source, plan: plan, for: reader, transfer: transfer)
                try pipeline.run(into: &reader, tick: { _ in })
            } catch {
                transfer.fail(error)
            }
            outcome.withLock { $0 = reader.outcome }
        }
        var result = outcome.withLock { $0 }
        result.fault = transfer.failure
        result.isHung = !finished
        if !finished { transfer.fail(.cancelled) }
        return result
    }

    /// The images one behind the other in the source, and on a device with room between.
    private func place(_ images: [Image]) -> ([ImageJob], [UInt8]) {
        var bytes: [UInt8] = []
        var jobs: [ImageJob] = []
        var deviceOffset: UInt64 = 1 << 20
        for (index, image) in images.enumerated() {
            let start = UInt64(bytes.count)
            bytes += image.compressed
            var sha384 = SHA384.digest(of: image.compressed)
            if !isHashRight { sha384[0] ^= 1 }
            jobs.append(
                ImageJob(
                    name: "image \(index)", sourceRange: start..<UInt64(bytes.count), sha384: sha384,
                    decodedBytes: image.statedBytes, deviceOffset: deviceOffset))
            // Odd multiples of the block: where an image lies on the device must not matter for the ring.
            deviceOffset += (image.statedBytes / UInt64(blockBytes) + 3) * UInt64(blockBytes)
        }
        return (jobs, bytes)
    }
}

/// The writer's part of a `DecodingRig`.
private struct LateReader: ExtentConsumer, ~Copyable {
    private let bell = ConditionWaker()
    var waker: any QueueWaker { bell }
    let wantsChecksums = false

    struct Expected: Sendable {
        let deviceOffset: UInt64
        let statedBytes: UInt64
        let bytes: [UInt8]
    }

    private let expected: [Expected]
    private let slotBytes: Int
    let blockBytes: Int
    private var random: SplitMix64
    private var held: [DecodedExtent] = []
    private(set) var outcome = DecodingRig.Outcome()
    /// One lane hands pieces over in the order of the image.
    private let isInOrder: Bool
    /// The pieces of each image that have come.
    private var pieces: [[Range<UInt64>]]

    init(expected: [Expected], slotBytes: Int, blockBytes: Int, isInOrder: Bool, seed: UInt64) {
        self.isInOrder = isInOrder
        self.expected = expected
        self.slotBytes = slotBytes
        self.blockBytes = blockBytes
        random = SplitMix64(state: seed)
        pieces = expected.map { _ in [] }
    }

    mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void) {
        var pieces: [DecodedExtent] = []
        while true {
            let isAtWork = queue.take(into: &pieces)
            for piece in pieces { accept(piece) }
            pieces.removeAll()
            if !isAtWork {
                while !held.isEmpty { letGo() }
                break
            }
            // As long as the decoder gets on, hold what it gave; when it is stuck, it needs a slot back.
            let isStuck = queue.willWait() && !bell.wait(until: .after(seconds: 0.000_2))
            if !held.isEmpty, isStuck || Int.random(in: 0..<8, using: &random) == 0 { letGo() }
        }
        for (index, image) in expected.enumerated() {
            let end = image.deviceOffset + wholeBlocks(image.statedBytes)
            var reached = image.deviceOffset
            for piece in self.pieces[index].sorted(by: { $0.lowerBound < $1.lowerBound }) {
                if piece.lowerBound != reached {
                    outcome.mismatches.append("image \(index): a piece begins at \(piece.lowerBound), not at \(reached)")
                }
                reached = piece.upperBound
            }
            if reached != end { outcome.mismatches.append("image \(index) ends at \(reached), not at \(end)") }
        }
    }

    private func wholeBlocks(_ bytes: UInt64) -> UInt64 {
        (bytes + UInt64(blockBytes) - 1) / UInt64(blockBytes) * UInt64(blockBytes)
    }

    private mutating func accept(_ piece: DecodedExtent) {
        let place = "piece \(piece.deviceOffset)+\(piece.lengthBytes) at ring \(piece.memory?.ringOffset ?? -1)"
        func check(_ rule: Bool, _ words: String) { if !rule { outcome.violations.append("\(place): \(words)") } }
        check(piece.lengthBytes > 0 && piece.lengthBytes % blockBytes == 0, "not whole blocks")
        if let memory = piece.memory {
            let end = memory.ringOffset + piece.lengthBytes
            check(memory.ringOffset % SlotRing.alignmentBytes == 0, "unaligned memory")
            check(memory.slot == memory.ringOffset / slotBytes, "in another slot")
            check(end <= (memory.slot + 1) * slotBytes, "past its slot")
            check(end <= memory.ring.capacityBytes, "past its ring")
            for other in held {
                guard let its = other.memory, its.ring === memory.ring else { continue }
                let isShared = its.ringOffset < end && memory.ringOffset < its.ringOffset + other.lengthBytes
                check(!isShared, "its memory is still held for \(other.deviceOffset)")
            }
        }
        guard let index = expected.lastIndex(where: { $0.deviceOffset <= piece.deviceOffset }) else {
            check(false, "before every image")
            return
        }
        let image = expected[index]
        if isInOrder {
            let reached = pieces[index].last?.upperBound ?? image.deviceOffset
            check(piece.deviceOffset == reached, "not behind the piece before, which ended at \(reached)")
        }
        check((piece.deviceOffset - image.deviceOffset) % UInt64(SlotRing.alignmentBytes) == 0, "unaligned stream")
        let end = piece.deviceOffset + UInt64(piece.lengthBytes)
        check(end <= image.deviceOffset + wholeBlocks(image.statedBytes), "past the end of its image")
        pieces[index].append(piece.deviceOffset..<end)
        outcome.bytesOut += UInt64(piece.lengthBytes)
        if piece.memory?.ringOffset == 0 { outcome.laps += 1 }
        held.append(piece)
    }

    private mutating func letGo() {
        let piece = held.remove(at: Int.random(in: 0..<held.count, using: &random))
        if let image = expected.last(where: { $0.deviceOffset <= piece.deviceOffset }) {
            let at = Int(piece.deviceOffset - image.deviceOffset)
            let count = max(0, min(piece.lengthBytes, image.bytes.count - at))
            let isRight: Bool
            if let memory = piece.memory {
                isRight = memory.ring.buffer.withBytes(memory.ringOffset, count: piece.lengthBytes) { bytes in
                    let padding = bytes.extracting(count..<bytes.byteCount)
                    return isSame(bytes.extracting(0..<count), image.bytes, at: min(at, image.bytes.count))
                        && isSame(padding, [UInt8](repeating: 0, count: padding.byteCount), at: 0)
                }
            } else {
                isRight = image.bytes[min(at, image.bytes.count)...].prefix(count).allSatisfy { $0 == 0 }
            }
            if !isRight { outcome.mismatches.append("other bytes at \(at)+\(piece.lengthBytes)") }
        }
        piece.release()
    }
}
