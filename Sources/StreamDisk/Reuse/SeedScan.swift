import CosiFormat

/// Cuts the seeds by the rule that the images were cut by, hashes each frame, on all cores, and notes those that are wanted.
///
/// One thread reads and cuts, the others hash. A seed is cut from its first byte on: behind the first boundary its frames are
/// those of an image, as long as a file system lies at a multiple of 4096 bytes.
package final class SeedScan: Sendable {
    private static let readBytes = 1 << 20

    /// A frame on its way from the reader to a thread that hashes.
    private struct Slot {
        let content: DirectBuffer
        var contentBytes = 0
        var place = SeedTable.Place(seed: 0, offset: 0)
    }

    private struct State {
        var table: SeedTable
        var free: [Slot] = []
        var cut: [Slot] = []
        var isCutToEnd = false
        var isStopped = false
        var readBytes: UInt64 = 0
        var problems: [Problem] = []

        var isOver: Bool { isStopped || table.missing == 0 }
    }

    /// Why the rest of a seed was left out. Harmless: what is not found is fetched.
    package struct Problem: Sendable {
        package let path: String
        package let offset: UInt64
        package let cause: SystemError

        var warning: FormatWarning {
            FormatWarning(place: path, message: "cannot be read at byte \(offset) (\(cause)): nothing behind it is taken from it")
        }
    }

    private let seeds: [SeedFile]
    private let cutter: FrameCutter
    private let threads: Int
    private let state: Monitor<State>

    /// - Parameters:
    ///   - meanBytes: of ``ContentIndex/meanFrameBytes``.
    ///   - table: what is wanted.
    ///   - threads: that hash; at least 1.
    package init(_ seeds: [SeedFile], meanBytes: Int, _ table: SeedTable, threads: Int = processorCount()) {
        self.seeds = seeds
        cutter = FrameCutter(meanBytes: meanBytes)
        self.threads = max(threads, 1)
        state = Monitor(State(table: table))
    }

    private var slotCount: Int { 2 * threads }

    /// What a scan takes beside the table: frames being hashed and read.
    package static func memoryBytes(meanBytes: Int, threads: Int = processorCount()) -> UInt64 {
        let cutter = FrameCutter(meanBytes: meanBytes)
        return UInt64(2 * max(threads, 1) * cutter.mostBytes + stagingBytes(cutter))
    }

    private static func stagingBytes(_ cutter: FrameCutter) -> Int {
        // What is undecided is less than the longest frame and a stretch; the rest saves moves.
        cutter.mostBytes + cutter.zeroStretchBytes + 8 * readBytes
    }

    /// Bytes of the seeds read so far. May be asked on any thread.
    package var scannedBytes: UInt64 { state.withLock { $0.readBytes } }

    /// Reads all seeds, or until everything that is wanted was found. Blocks.
    ///
    /// - Parameter stop: ends it with `.cancelled`.
    package func run(stop: Cancellation) throws(StreamFault) -> (table: SeedTable, problems: [Problem]) {
        var slots: [Slot] = []
        for _ in 0..<slotCount { slots.append(Slot(content: try .reserved(sizeBytes: cutter.mostBytes))) }
        let staging = try DirectBuffer.reserved(sizeBytes: Self.stagingBytes(cutter))
        state.withLock { $0.free = slots }
        var list = ThreadList()
        defer {
            end()
            list.joinAll()
        }
        do throws(SystemError) {
            for index in 0..<threads { list.append(try WorkerThread(name: "sd-seed-\(index)") { [self] in hash() }) }
        } catch {
            // One is enough.
            if list.isEmpty { throw .host(operation: "start a thread", cause: error) }
        }
        stop.withHandler({ [self] in end() }) {
            var reader = SeedReader(cutter: cutter, staging: staging)
            for (index, seed) in seeds.enumerated() { read(seed, index, &reader) }
            state.mutateAndNotify { $0.isCutToEnd = true }
        }
        list.joinAll()
        if stop.isCancelled { throw .cancelled }
        return state.withLock { ($0.table, $0.problems) }
    }

    private func end() { state.mutateAndNotify { $0.isStopped = true } }

    // MARK: The thread that reads and cuts

    private func read(_ seed: SeedFile, _ index: Int, _ reader: inout SeedReader) {
        seed.willReadAll()
        reader.start()
        let staging = reader.staging
        var position: UInt64 = 0
        do throws(Stopped) {
            while position < seed.sizeBytes {
                let count = Int(min(UInt64(Self.readBytes), seed.sizeBytes - position))
                do throws(SystemError) {
                    try reader.fill(seed, position, count)
                } catch {
                    let problem = Problem(path: seed.path, offset: position, cause: error)
                    state.withLock { $0.problems.append(problem) }
                    return
                }
                try reader.cut(count) { place, offset, bytes throws(Stopped) in
                    try pass(staging, place, bytes, SeedTable.Place(seed: index, offset: offset))
                }
                position += UInt64(count)
                state.withLock { $0.readBytes += UInt64(count) }
            }
            try reader.finish { place, offset, bytes throws(Stopped) in
                try pass(staging, place, bytes, SeedTable.Place(seed: index, offset: offset))
            }
        } catch {
            // Over, or cancelled.
        }
    }

    private func pass(_ staging: DirectBuffer, _ at: Int, _ bytes: Int, _ place: SeedTable.Place) throws(Stopped) {
        var slot = try state.wait { state throws(Stopped) -> Slot? in
            if state.isOver { throw Stopped() }
            return state.free.popLast()
        }
        staging.withBytes(at, count: bytes) { slot.content.copy($0, to: 0) }
        slot.contentBytes = bytes
        slot.place = place
        let filled = slot
        state.mutateAndNotify { $0.cut.append(filled) }
    }

    // MARK: The threads that hash

    private func hash() {
        var digest = MessageDigest(.sha256)
        while let slot = next() {
            slot.content.withBytes(0, count: slot.contentBytes) { digest.update($0) }
            let hash = ContentHash(digest.finish())
            state.mutateAndNotify { state in
                state.table.found(hash, at: slot.place)
                state.free.append(slot)
            }
        }
    }

    private func next() -> Slot? {
        state.wait { state -> Slot?? in
            if state.isOver { return .some(nil) }
            if let slot = state.cut.popLast() { return slot }
            return state.isCutToEnd ? .some(nil) : nil
        }
    }
}
