import CosiFormat
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

/// Runs that find part of the image on the simulated disk, and cuts of the power at every moment of them.
@Suite(.timeLimit(.minutes(5))) struct ReuseSimulationTests {
    @Test(
        "Whatever part of the image a disk holds, only the rest is written; no power cut leaves a table over wrong bytes",
        arguments: 0..<16)
    func anyOldContent(number: Int) throws {
        let seed = UInt64(number)
        var random = SplitMix64(state: seed)
        let image = try IndexedRun.prepared(SimulatedRun.Shape.all[number % 4])
        let changes: [Bool?] = [nil, true, false]
        let (before, right) = image.disk { changes[Int.random(in: 0..<3, using: &random)] }
        let run = image.run.onto(before)
        let medium = run.newMedium
        let samples = number % 5 == 4
        let feed = image.feed(before, samples: samples, threads: 1 + number % 3, seed: seed, failsReads: number % 4 == 3)
        let state = TransferState()
        let fault = try run.execute(
            through: SimulatedQueue(medium, capacity: 8, seed: seed), medium, seed: seed, lanes: 1 + number % 3, state: state,
            source: MemorySource(image.bytes, seed: seed), feed: feed, goal: number % 2 == 0 ? .write : .writeAndReadBack)
        #expect(fault == nil, "seed \(seed): \(String(describing: fault))")
        #expect(run.holdsImages(medium.bytes) && medium.violations.isEmpty, "seed \(seed)")
        if !samples, number % 4 != 3 {
            for case .submitted(let write) in medium.journal where write.operation == .write {
                let range = write.offset..<write.offset + UInt64(write.bytes.count)
                #expect(right.allSatisfy({ !$0.overlaps(range) }), "seed \(seed): \(range) was there")
            }
            #expect(state.counters.reusedBytes.load(ordering: .relaxed) == right.reduce(0) { $0 + UInt64($1.count) })
        }
        var cuts = PowerCuts(run, medium)
        for moment in 0...medium.journal.count {
            cuts.advance(to: moment)
            for choice in [PowerCuts.Choice.all, .none, .last, .tables, .data, .random(random.next())] {
                let finding = cuts.cut(choice)
                #expect(finding.problem == nil, "seed \(seed), moment \(moment), \(choice)")
                if moment == medium.journal.count { #expect(finding.isWhole, "seed \(seed)") }
            }
        }
    }

    @Test("A found frame that rots after it was read is found by reading back, and there is no table")
    func rotAfterReading() throws {
        let image = try IndexedRun.prepared(SimulatedRun.Shape())
        let (before, right) = image.disk { nil }
        var rotten = before
        rotten[Int(try #require(right.first).lowerBound) + 1000] ^= 1
        let run = image.run.onto(rotten)
        let medium = run.newMedium
        let fault = try run.execute(
            through: SimulatedQueue(medium), medium, source: MemorySource(image.bytes), feed: image.feed(before),
            goal: .writeAndReadBack)
        guard case .mismatch? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
        #expect(run.tables(medium.bytes).isEmpty)
    }

    @Test(
        "An index with a wrong hash, length or mark of zeros ends the run, and there is no table",
        arguments: ["hash", "length", "zeros"])
    func lyingIndex(lie: String) throws {
        let image = try IndexedRun.prepared(SimulatedRun.Shape())
        let run = image.run
        let medium = run.newMedium
        let feed = image.feed(run.before) { frames in
            let at = frames.count / 2
            let (old, other) = (frames[at], frames[at + 1])
            func frame(
                _ old: ContentIndex.Frame, _ content: UInt64, _ bytes: UInt32, _ isZero: Bool, _ hash: ContentHash
            ) -> ContentIndex.Frame {
                ContentIndex.Frame(
                    compressedOffset: old.compressedOffset, compressedBytes: old.compressedBytes, contentOffset: content,
                    contentBytes: bytes, isZero: isZero, sha256: hash)
            }
            switch lie {
            case "hash": frames[at] = frame(old, old.contentOffset, old.contentBytes, false, other.sha256)
            case "zeros": frames[at] = frame(old, old.contentOffset, old.contentBytes, true, old.sha256)
            default:
                frames[at] = frame(old, old.contentOffset, old.contentBytes - 4096, false, old.sha256)
                frames[at + 1] = frame(other, other.contentOffset - 4096, other.contentBytes + 4096, false, other.sha256)
            }
        }
        let fault = try run.execute(
            through: SimulatedQueue(medium), medium, source: MemorySource(image.bytes), feed: feed, goal: .write)
        #expect(fault?.kind == (lie == "length" ? "image.data" : "image.dataHash"), "\(String(describing: fault))")
        #expect(run.tables(medium.bytes).isEmpty)
    }
}

/// The images of a `SimulatedRun`, compressed again in many small frames that an index lists.
private struct IndexedRun: Sendable {
    let run: SimulatedRun
    let bytes: [UInt8]
    let images: [IndexedImage]
    private static let made = Monitor<[SimulatedRun.Shape: IndexedRun]>([:])

    static func prepared(_ shape: SimulatedRun.Shape) throws -> IndexedRun {
        try made.withLock { made in
            if let image = made[shape] { return image }
            let image = try IndexedRun(SimulatedRun.prepared(shape))
            made[shape] = image
            return image
        }
    }

    private init(_ run: SimulatedRun) throws {
        self.run = run
        var (bytes, images): ([UInt8], [IndexedImage]) = ([], [])
        for (job, original) in zip(run.jobs, run.originals.filter { !$0.isEmpty }) {
            let start = bytes.count
            bytes += skippableFrame([1, 2, 3])
            var frames: [ContentIndex.Frame] = []
            var at = 0
            while at < original.count {
                let content = Array(original[at..<min(at + (8 + frames.count % 3 * 8) << 12, original.count)])
                let compressed = try zstd("-3 --zstd=wlog=16", content)
                frames.append(
                    ContentIndex.Frame(
                        compressedOffset: UInt64(bytes.count - start), compressedBytes: UInt32(compressed.count),
                        contentOffset: UInt64(at), contentBytes: UInt32(content.count), isZero: content.allSatisfy { $0 == 0 },
                        sha256: ContentHash(MessageDigest.digest(of: content, .sha256))))
                bytes += compressed
                at += content.count
            }
            let whole = ImageJob(
                name: job.name, sourceRange: UInt64(start)..<UInt64(bytes.count),
                sha384: SHA384.digest(of: Array(bytes[start...])), decodedBytes: job.decodedBytes, deviceOffset: job.deviceOffset)
            images.append(IndexedImage(job: whole, frames: frames))
        }
        (self.bytes, self.images) = (bytes, images)
    }

    /// The run's disk with frames of the image on it.
    ///
    /// - Parameter change: of a frame's place: nil makes it right, true flips a byte of that, false leaves the disk's bytes.
    /// - Returns: it, and the places that are right.
    func disk(_ change: () -> Bool?) -> ([UInt8], [Range<UInt64>]) {
        var (disk, right): ([UInt8], [Range<UInt64>]) = (run.before, [])
        let after = run.after
        let block = UInt64(run.shape.blockBytes)
        for image in images {
            for (index, frame) in image.frames.enumerated() {
                let start = image.deviceOffset(of: index)
                let end = (start + UInt64(frame.contentBytes) + block - 1) / block * block
                let change = change()
                if change == false { continue }
                disk.replaceSubrange(Int(start)..<Int(end), with: after[Int(start)..<Int(end)])
                if change == nil {
                    right.append(start..<end)
                } else {
                    disk[Int(start) + Int(frame.contentBytes) / 2] ^= 0x10
                }
            }
        }
        return (disk, right)
    }

    /// - Parameters:
    ///   - disk: what its reads find.
    ///   - change: makes another index of the largest image's.
    func feed(
        _ disk: [UInt8], samples: Bool = false, threads: Int = 2, seed: UInt64 = 0, failsReads: Bool = false,
        changing change: (inout [ContentIndex.Frame]) -> Void = { _ in }
    ) -> any JobFeed {
        var images = images
        var frames = images[0].frames
        change(&frames)
        images[0] = IndexedImage(job: images[0].job, frames: frames)
        return ReuseJobs<StillQueue>(
            images, whole: [], samples: samples,
            disk: DiskGeometry(path: "simulated", sizeBytes: UInt64(disk.count), blockBytes: run.shape.blockBytes),
            threads: threads
        ) { () throws(StreamFault) in StillQueue(disk, seed: seed, fails: failsReads) }
    }
}

/// Reads of a disk that does not change, out of order, and now and then with an error.
private struct StillQueue: DiskQueue, ~Copyable {
    let engineName = "still"
    let capacity = 3
    let waker: any QueueWaker = NoWaker()
    private let bytes: [UInt8]
    private let fails: Bool
    private var random: SplitMix64
    private var waiting: [DiskRequest] = []

    private final class NoWaker: QueueWaker { func wake() {} }

    init(_ bytes: [UInt8], seed: UInt64, fails: Bool) {
        (self.bytes, self.fails) = (bytes, fails)
        random = SplitMix64(state: seed)
    }

    mutating func submit(_ request: DiskRequest) { waiting.append(request) }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        guard !waiting.isEmpty else { return }
        let request = waiting.remove(at: Int.random(in: 0..<waiting.count, using: &random))
        let isFailure = fails && Int.random(in: 0..<6, using: &random) == 0
        let start = Int(request.offset)
        request.buffer?.write(Array(bytes[start..<start + request.lengthBytes]), at: request.bufferOffset)
        completions.append(
            DiskCompletion(tag: request.tag, result: isFailure ? .failure(SystemError(EIO)) : .success(request.lengthBytes)))
    }
}
