import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("Reading back, and comparing instead of writing, over a simulated disk")
struct ReadBackTests {
    private func writes(_ medium: SimulatedMedium) -> [SimulatedMedium.Submission] {
        medium.journal.compactMap { event in
            if case .submitted(let submission) = event, submission.operation == .write { submission } else { nil }
        }
    }

    private func mismatch(_ fault: StreamFault?) -> DiskMismatch? {
        if case .mismatch(let mismatch) = fault { mismatch } else { nil }
    }

    private func expectNoTableOverOtherBytes(_ run: SimulatedRun, _ medium: SimulatedMedium, _ place: Comment) {
        for table in run.tables(medium.bytes) {
            switch table {
            case .primary(guid: 0x11), .backup(guid: 0x11): Issue.record("a new table: \(place)")
            default:
                let isRight = run.holdsOldData(medium.bytes)
                #expect(isRight, place)
            }
        }
    }

    // MARK: stream --verify

    @Test("A good disk is written as without, and everything on it is read once", arguments: 0..<6)
    func goodDisk(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let reads = Monitor<[Range<UInt64>]>([])
        let survivable = SimulatedFaults.survivable(blockBytes: 512, zeroMethods: Int(seed % 3))
        let faults = SimulatedFaults { request, place, random in
            if request.operation == .read {
                reads.withLock { $0.append(request.offset..<request.offset + UInt64(request.lengthBytes)) }
            }
            return seed % 2 == 0 ? .all : survivable.outcome(of: request, at: place, &random)
        }
        let fault = try run.execute(
            on: medium, seed: seed, lanes: 1 + Int(seed % 3), capacity: 1 + Int(seed),
            slotBytes: seed % 2 == 0 ? 16 << 10 : 1 << 20, faults: faults, goal: .writeAndReadBack)
        #expect(fault == nil, "seed \(seed)")
        #expect(medium.violations == [], "seed \(seed)")
        let (isRight, tables) = (run.holdsImages(medium.bytes), run.tables(medium.bytes))
        #expect(isRight && tables == [.primary(guid: 0x11), .backup(guid: 0x11)], "seed \(seed)")

        // Every block of every image was read, ...
        for job in run.jobs {
            var position = job.deviceOffset
            for range in reads.withLock({ $0 }).sorted(by: { $0.lowerBound < $1.lowerBound }) where range.contains(position) {
                position = range.upperBound
            }
            #expect(position >= job.deviceOffset + job.decodedBytes, "seed \(seed): \(job.name) up to \(position)")
        }
        // ... when they had been flushed and before anything of the new table was written.
        let partitions = run.shape.partitions
        let data = UInt64((partitions.first?.lowerBound ?? 0) * 512)..<UInt64(((partitions.last?.upperBound ?? 0) + 1) * 512)
        let asked = medium.journal.compactMap { if case .submitted(let submission) = $0 { submission } else { nil } }
        func places(_ isMeant: (SimulatedMedium.Submission) -> Bool) -> [Int] { asked.indices.filter { isMeant(asked[$0]) } }
        let dataReads = places { $0.operation == .read && data.contains($0.offset) }
        let lastDataWrite = try #require(places { $0.operation == .write && data.contains($0.offset) }.last)
        let table = places { $0.operation == .write && !data.contains($0.offset) && $0.bytes.contains { $0 != 0 } }
        let (first, last, firstOfTable) = (try #require(dataReads.first), try #require(dataReads.last), try #require(table.first))
        #expect(places { $0.operation == .flush }.contains { $0 > lastDataWrite && $0 < first }, "seed \(seed)")
        #expect(last < firstOfTable, "seed \(seed)")
    }

    @Test(
        "A write that did not land as it was asked for is found, whichever it is, and no table is written",
        arguments: LyingQueue.Lie.allCases)
    func lies(lie: LyingQueue.Lie) throws {
        let run = try SimulatedRun.prepared()
        let honest = run.newMedium
        #expect(try run.execute(on: honest) == nil)
        let count = writes(honest).count
        #expect(count > 60)
        var places = Set<String>()
        for victim in 0..<count {
            let place: Comment = "\(lie), write \(victim) of \(count)"
            let medium = run.newMedium
            let disk = LyingQueue(medium, seed: UInt64(victim), lie, victims: [victim])
            let fault = try run.execute(through: disk, medium, seed: UInt64(victim), goal: .writeAndReadBack)
            // The number of requests is not the same in every run: some zeros are merged, some are not.
            let written = writes(medium)
            guard victim < written.count else { continue }
            // Its second half may have been zeros before, as they were to be.
            if lie == .tear, fault == nil {
                let isRight = run.holdsImages(medium.bytes)
                #expect(isRight, place)
                continue
            }
            let found = mismatch(fault)
            #expect(found != nil, place)
            #expect(found?.expectation == .written, place)
            expectNoTableOverOtherBytes(run, medium, place)
            if let area = found?.area { places.insert(area.description) }
        }
        // The primary table's second half is zeros on this disk.
        #expect(places.count == (lie == .tear ? 2 : 3), "tables: \(places)")
    }

    @Test("The first of several bad extents is the one that is named", arguments: 0..<6)
    func firstOfSeveral(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        var random = SplitMix64(state: seed)
        // After the writes of the invalidation: three for the tables, two for the gaps.
        let victims = Set((0..<4).map { _ in Int.random(in: 5..<60, using: &random) })
        let fault = try run.execute(
            through: LyingQueue(medium, seed: seed, .flip, victims: victims), medium, seed: seed, goal: .writeAndReadBack)
        let flipped = victims.map { writes(medium)[$0] }.map { $0.offset..<$0.offset + UInt64($0.bytes.count) }
        let first = try #require(flipped.min { $0.lowerBound < $1.lowerBound })
        let found = try #require(mismatch(fault), "seed \(seed)")
        // Zeros are zeroed by larger pieces than they are kept by.
        #expect(first.contains(found.offset) && found.lengthBytes <= first.count, "seed \(seed)")
        #expect(found.offset...found.offset + UInt64(found.lengthBytes) ~= first.lowerBound + UInt64(first.count / 2))
        expectNoTableOverOtherBytes(run, medium, "seed \(seed)")
    }

    @Test("A run that does not read back believes the disk")
    func withoutReadBack() throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let fault = try run.execute(through: LyingQueue(medium, .flip, victims: [20]), medium, goal: .write)
        #expect(fault == nil)
        let isRight = run.holdsImages(medium.bytes)
        #expect(!isRight)
        #expect(!medium.operations.contains { $0.hasPrefix("read") })
    }

    @Test("A disk that cannot read what it wrote is an error of the device, and gets no table")
    func readsThatFail() throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let faults = SimulatedFaults { request, place, _ in
            request.operation == .read && place.flushes == 3 ? .failure(5) : .all
        }
        let fault = try run.execute(on: medium, faults: faults, goal: .writeAndReadBack)
        guard case .device(let error) = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
        #expect(error.operation == .read && error.cause == SystemError(5))
        #expect(run.tables(medium.bytes) == [])
    }

    @Test("A cancellation ends the reading back, without a table")
    func cancelled() throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let state = TransferState()
        let faults = SimulatedFaults { request, place, _ in
            if request.operation == .read && place.flushes == 3 { state.stop.cancel() }
            return .all
        }
        let fault = try run.execute(on: medium, faults: faults, state: state, goal: .writeAndReadBack)
        guard case .cancelled = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
        #expect(run.tables(medium.bytes) == [])
    }

    // MARK: verify

    @Test("Comparing a disk that holds the images finds nothing and writes nothing", arguments: 0..<6)
    func comparesEqual(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let written = run.newMedium
        #expect(try run.execute(on: written) == nil)
        let medium = SimulatedMedium(written.bytes)
        let fault = try run.execute(
            on: medium, seed: seed, lanes: 1 + Int(seed % 3), capacity: 1 + Int(seed),
            slotBytes: seed % 2 == 0 ? 16 << 10 : 1 << 20,
            faults: seed % 2 == 0 ? .none : .survivable(blockBytes: 512), goal: .compare)
        #expect(fault == nil, "seed \(seed)")
        #expect(medium.violations == [], "seed \(seed)")
        #expect(medium.operations.allSatisfy { $0.hasPrefix("read") } && !medium.operations.isEmpty)
    }

    @Test("Every byte that differs is counted with its piece, and the first is named exactly", arguments: 0..<12)
    func comparesDifferent(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let written = run.newMedium
        #expect(try run.execute(on: written) == nil)
        var bytes = written.bytes
        var random = SplitMix64(state: seed)
        let job = try #require(run.jobs.randomElement(using: &random))
        let first = Int(job.deviceOffset) + Int.random(in: 0..<Int(job.decodedBytes), using: &random)
        bytes[first] ^= 1 << UInt8.random(in: 0...7, using: &random)
        let later = run.jobs.last.map { Int($0.deviceOffset + $0.decodedBytes) - 1 } ?? 0
        if seed % 2 == 0 { bytes[later] ^= 0x80 }
        let medium = SimulatedMedium(bytes)
        let fault = try run.execute(on: medium, seed: seed, lanes: 1 + Int(seed % 3), goal: .compare)
        let found = try #require(mismatch(fault), "seed \(seed)")
        #expect(found.offset == UInt64(first), "seed \(seed)")
        if found.count > 1 || seed % 2 == 1 { #expect(found.lengthBytes == 1, "seed \(seed)") }
        #expect(found.count == (seed % 2 == 0 && later - first > 16 << 10 ? 2 : found.count))
        // What lies between the images is nobody's business.
        #expect(medium.operations.allSatisfy { $0.hasPrefix("read") })
        let isUntouched = medium.bytes == bytes
        #expect(isUntouched)
    }
}
