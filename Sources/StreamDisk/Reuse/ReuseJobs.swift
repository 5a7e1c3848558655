import CosiFormat
import Synchronization

/// Hands out what the disk does not hold yet. Its threads compare the disk's old content with the images' indexes, while the
/// fetch threads already fetch what was missing.
///
/// A frame's place is read before it is judged, and written only after it was judged missing: no read ever sees this run's
/// writes.
final class ReuseJobs<Queue: DiskQueue & SendableMetatype & ~Copyable>: JobFeed {
    private struct State {
        var scan: FrameScan
        var threadsLeft = 0
        var isStopped = false
        /// Until the seeds were searched, nothing is known to be missing.
        var isSearching = false
        /// What the seeds have; nil without seeds.
        var table: SeedTable?
        /// Of seeds that could not be read to their end.
        var warnings: [FormatWarning] = []
        /// Images of which the disk has nothing, as far as is known: only the seeds are asked.
        var onlySeeds: Set<Int> = []
    }

    let concurrentMax = Int.max
    private let images: [IndexedImage]
    private let disk: DiskGeometry
    private let threadCount: Int
    private let seeds: SeedSearch?
    private let openQueue: @Sendable () throws(StreamFault) -> Queue
    private let state: Monitor<State>
    /// Of the thread that said it last: a disk that hangs answers none of them.
    private let silence = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - images: the largest first.
    ///   - whole: images without an index.
    ///   - samples: whether an image is compared only if some of its frames, tried first, are there.
    ///   - seeds: where else frames are looked for.
    ///   - readsDisk: false takes frames from seeds only.
    ///   - openQueue: called on each thread.
    init(
        _ images: [IndexedImage], whole: [ImageJob], samples: Bool, disk: DiskGeometry, threads: Int, seeds: SeedSearch? = nil,
        readsDisk: Bool = true,
        openQueue: @escaping @Sendable () throws(StreamFault) -> Queue
    ) {
        self.images = images
        self.disk = disk
        threadCount = threads
        self.seeds = seeds
        self.openQueue = openQueue
        var state = State(scan: FrameScan(images, whole: whole, samples: samples && readsDisk))
        if !readsDisk { state.onlySeeds = Set(images.indices) }
        self.state = Monitor(state)
    }

    func next(observer: SourceObserver) throws(StreamFault) -> ImageJob? {
        let job = state.wait { state -> ImageJob?? in
            if state.isStopped { return .some(nil) }
            if let job = state.scan.popJob() { return .some(job) }
            return state.scan.isOver ? .some(nil) : nil
        }
        state.broadcast()
        return job
    }

    func stop() { state.mutateAndNotify { $0.isStopped = true } }

    var warnings: [FormatWarning] { state.withLock { $0.warnings } }

    var silenceSeconds: Double { Double(silence.load(ordering: .relaxed)) }

    private func noteSilence(_ seconds: Double) { silence.store(UInt64(seconds), ordering: .relaxed) }

    func start(into queue: ExtentQueue, _ transfer: TransferState) -> ThreadList {
        var threads = ThreadList()
        state.withLock { state in
            state.threadsLeft = threadCount
            state.isSearching = seeds != nil
        }
        startSearch(&threads, transfer)
        for index in 0..<threadCount {
            do throws(SystemError) {
                try threads.append(
                    WorkerThread(name: "sd-reuse-\(index)") { [self] in
                        work(queue, transfer)
                        threadEnded()
                    })
            } catch {
                threadEnded()
            }
        }
        return threads
    }

    /// Reads the seeds before the first frame is judged.
    private func startSearch(_ threads: inout ThreadList, _ transfer: TransferState) {
        guard let seeds else { return }
        do throws(SystemError) {
            try threads.append(
                WorkerThread(name: "sd-seeds") { [self] in
                    // Nil when cancelled, or when memory was refused: what is missing is fetched.
                    let found = try? seeds.scan(transfer.stop)
                    state.mutateAndNotify { state in
                        state.table = found?.table
                        state.warnings = found?.problems.map(\.warning) ?? []
                        state.isSearching = false
                    }
                })
        } catch {
            // Then everything that the disk has not is fetched.
            state.withLock { $0.isSearching = false }
        }
    }

    /// Without threads, only what was found so far is not fetched.
    private func threadEnded() {
        noteSilence(0)
        state.mutateAndNotify { state in
            state.threadsLeft -= 1
            if state.threadsLeft == 0, !state.scan.isOver { state.scan.giveUp() }
        }
    }

    private func nextWork() -> FrameScan.Work? {
        state.wait { state -> FrameScan.Work?? in
            if state.isStopped { return .some(nil) }
            if state.isSearching { return nil }
            switch state.scan.next() {
            case .work(let work): return .some(work)
            case .wait: return nil
            case .end: return .some(nil)
            }
        }
    }

    private func work(_ queue: ExtentQueue, _ transfer: TransferState) {
        var reader: FrameReader<Queue>
        // Without a queue or memory, another thread does the work, or what is there is fetched.
        do throws(StreamFault) { reader = try FrameReader(queue: try openQueue(), disk: disk) } catch { return }
        var zeros = ZeroHashes()
        var copy: SeedCopy?
        while let work = nextWork() {
            switch work {
            case .sample(let image):
                var isFound = false
                for frame in images[image].samples where !isFound {
                    guard
                        reader.compare(
                            frame..<frame + 1, of: images[image], keepsChecksums: false, stop: transfer.stop,
                            silence: noteSilence, { _, found in isFound = found != nil })
                    else { return }
                }
                state.mutateAndNotify { state in
                    let hasSeed = state.table.map { table in images[image].frames.contains { table[$0] != nil } } ?? false
                    if !isFound, hasSeed { state.onlySeeds.insert(image) }
                    state.scan.sampled(image: image, isFound: isFound || hasSeed)
                }
            case .compare(let image, let frames, let claim):
                var missing: [Int] = []
                let (table, onlySeeds) = state.withLock { ($0.table, $0.onlySeeds.contains(image)) }
                if table != nil, copy == nil { copy = try? seeds?.copy(blockBytes: disk.blockBytes) }
                func judge(_ index: Int, _ found: [FoundBytes]?) {
                    let frame = images[image].frames[index]
                    if let found {
                        for piece in found { queue.push(DecodedExtent(piece)) }
                    } else if !frame.isZero {
                        let place = images[image].deviceOffset(of: index)
                        guard let seed = table?[frame],
                            (try? copy?.copy(frame, from: seed, toDevice: place, into: queue)) == true
                        else { return missing.append(index) }
                    } else if zeros.hash(count: Int(frame.contentBytes)) == frame.sha256 {
                        pushZeros(Int(frame.contentBytes), at: images[image].deviceOffset(of: index), queue)
                    } else {
                        transfer.fail(images[image].job.notZero(index))
                    }
                    transfer.counters.savedBytes.wrappingAdd(UInt64(frame.compressedBytes), ordering: .relaxed)
                }
                if onlySeeds {
                    for index in frames where !transfer.stop.isCancelled { judge(index, nil) }
                    if transfer.stop.isCancelled { return }
                } else {
                    guard
                        reader.compare(
                            frames, of: images[image], keepsChecksums: queue.keepsChecksums, stop: transfer.stop,
                            silence: noteSilence, judge)
                    else { return }
                }
                state.mutateAndNotify {
                    $0.scan.compared(image: image, frames: frames, claim: claim, missing: missing)
                }
            }
        }
    }

    /// Hands on a frame of zeros, which need not be fetched.
    private func pushZeros(_ count: Int, at start: UInt64, _ queue: ExtentQueue) {
        let end = start + UInt64((count + disk.blockBytes - 1) / disk.blockBytes * disk.blockBytes)
        var offset = start
        while offset < end {
            let count = Int(min(end - offset, UInt64(LanePlan.slotBytes)))
            queue.push(DecodedExtent(memory: nil, lengthBytes: count, deviceOffset: offset))
            offset += UInt64(count)
        }
    }
}

/// SHA-256 of zeros, by their number.
private struct ZeroHashes {
    private var known: [Int: ContentHash] = [:]
    private static let piece = [UInt8](repeating: 0, count: 64 << 10)

    mutating func hash(count: Int) -> ContentHash {
        if let hash = known[count] { return hash }
        var digest = MessageDigest(.sha256)
        var left = count
        while left > 0 {
            let count = min(left, Self.piece.count)
            // SAFETY: a UInt8 has no padding.
            digest.update(unsafe Self.piece.span.bytes.extracting(0..<count))
            left -= count
        }
        let hash = ContentHash(digest.finish())
        known[count] = hash
        return hash
    }
}

extension ImageJob {
    fileprivate func notZero(_ frame: Int) -> StreamFault {
        .image(.dataHash, place, "its content index marks frame \(frame) as zeros, with a SHA-256 that zeros have not")
    }
}
