import CosiFormat
import Foundation
import Glibc
import Synchronization
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("DiskWriter over a simulated disk")
struct DiskWriterTests {
    /// Everything that was handed over has come back.
    private func isDrained(_ medium: SimulatedMedium) -> Bool {
        medium.journal.reduce(0) { count, event in
            if case .submitted = event { count + 1 } else { count - 1 }
        } == 0
    }

    private func firstFailedOffset(_ medium: SimulatedMedium) -> UInt64? {
        for event in medium.journal {
            if case .failed(let index, _) = event, case .submitted(let submission) = medium.journal[index] {
                return submission.offset
            }
        }
        return nil
    }

    // MARK: The whole order

    @Test("A run writes in the order that keeps the disk safe, and nothing but images, tables and where old signatures stand")
    func order() throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let fault = try run.execute(on: medium)
        #expect(fault == nil)
        let (primary, backup) = (run.placement.primary.count, run.placement.backup.count)
        let backupAt = SimulatedRun.diskBytes - backup
        let tables = ["write 0+512", "write 512+\(primary)", "write \(backupAt)+\(backup)"]
        let operations = medium.operations
        // Blocks 34 to 39 lie before the first partition, 4001 to 5086 after the last one.
        let gaps = ["write \(34 * 512)+\(6 * 512)", "write \(4001 * 512)+\(1086 * 512)"]
        #expect(Array(operations.prefix(7)) == tables + ["flush"] + gaps + ["flush"])
        #expect(
            Array(operations.suffix(7)) == ["flush", tables[2], "flush", tables[1], "flush", tables[0], "flush"])
        let data = operations.dropFirst(7).dropLast(7)
        #expect(!data.contains("flush"))
        #expect(medium.violations == [])
        // Byte for byte what the partitions must hold.
        var expected = run.after
        expected.replaceSubrange(0..<512, with: run.placement.mbr)
        expected.replaceSubrange(512..<512 + primary, with: run.placement.primary)
        expected.replaceSubrange(backupAt..., with: run.placement.backup)
        // Compared outside of #expect, which would print the disk.
        let isRight = medium.bytes == expected
        #expect(isRight)
        // And sgdisk has nothing to say against it.
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "disk")
            try Data(medium.bytes).write(to: file)
            #expect(try TestSupport.run("sgdisk", ["-v", file.path]).contains("No problems found"))
        }
    }

    @Test("Late, reordered, short and interrupted requests change nothing in the result", arguments: 0..<12)
    func survivableFaults(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let fault = try run.execute(
            on: medium, seed: seed, lanes: 1 + Int(seed % 3), capacity: 1 + Int(seed % 9),
            slotBytes: seed % 2 == 0 ? 16 << 10 : 64 << 10,
            faults: .survivable(blockBytes: 512, zeroMethods: Int(seed % 3)))
        #expect(fault == nil, "seed \(seed)")
        #expect(medium.violations == [], "seed \(seed)")
        let isRight = run.holdsImages(medium.bytes)
        #expect(isRight, "seed \(seed)")
        let tables = run.tables(medium.bytes)
        #expect(tables == [.primary(guid: 0x11), .backup(guid: 0x11)], "seed \(seed)")
        #expect(medium.requestsInFlightMax <= 1 + Int(seed % 9))
        #expect(isDrained(medium))
    }

    /// What fails, and which flush it stands before: 0 and 1 the invalidation's, 2 the data's, 3 to 5 the commit's.
    static let failures: [(faults: SimulatedFaults, flush: Int, code: Int32, place: String)] =
        [(0, 3), (1, 2), (2, 12), (3, 1), (4, 1), (5, 1)].flatMap { flush, requests in
            (0..<requests).flatMap { number in
                [(SimulatedFaults.Outcome.failure(EIO), EIO), (.failure(ENOSPC), ENOSPC)].map {
                    (.after(flushes: flush, number, $0.0), flush, $0.1, "request \(number) before flush \(flush): \($0.0)")
                }
            } + [(.flush(flush, .failure(EIO)), flush, EIO, "flush \(flush)")]
        }

    @Test("Whichever request fails, the run fails with it, everything is drained, and no new table is left")
    func eachRequestFails() throws {
        let run = try SimulatedRun.prepared()
        for (seed, failure) in Self.failures.enumerated() {
            let medium = run.newMedium
            let place: Comment = "\(failure.place)"
            let fault = try run.execute(on: medium, seed: UInt64(seed), faults: failure.faults)
            #expect(medium.violations == [] && isDrained(medium), place)
            guard case .device(let error)? = fault else {
                Issue.record("\(failure.place): \(fault.map(\.description) ?? "no error")")
                continue
            }
            #expect(error.path == "simulated" && error.cause == SystemError(failure.code), place)
            #expect((error.operation == .flush) == (error.offset == nil), place)
            if let offset = firstFailedOffset(medium), error.operation != .flush { #expect(error.offset == offset, place) }
            if failure.flush == 0 {
                // A failed write may have written all or nothing: parts of the old table may be left, over the old data.
                let isOld = run.holdsOldData(medium.bytes)
                #expect(isOld, place)
            } else {
                let tables = run.tables(medium.bytes)
                #expect(tables == [], place)
            }
        }
    }

    @Test("Of several failures the first to come back is the one reported", arguments: 0..<8)
    func firstErrorIsKept(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let faults = SimulatedFaults { request, place, _ in
            place.number < 10 || request.operation == .flush ? .all : .failure(EIO)
        }
        let fault = try run.execute(on: medium, seed: seed, faults: faults)
        guard case .device(let error)? = fault else {
            Issue.record("seed \(seed): \(String(describing: fault))")
            return
        }
        #expect(error.offset == firstFailedOffset(medium), "seed \(seed)")
        #expect(isDrained(medium))
        let tables = run.tables(medium.bytes)
        #expect(tables == [])
    }

    @Test("A device that only ever interrupts is an error in the end", arguments: [EINTR, EAGAIN])
    func endlessInterruption(code: Int32) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let fault = try run.execute(
            on: medium, faults: SimulatedFaults { _, place, _ in place.number < 6 ? .all : .failure(code) })
        guard case .device(let error)? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
        #expect(error.cause == SystemError(code))
        #expect(isDrained(medium))
    }

    @Test("Less than a block is no progress, and an error", arguments: [0, 1, 511])
    func lessThanABlock(moved: Int) throws {
        let medium = SimulatedMedium([UInt8](repeating: 0, count: 65_536))
        var writer = try DiskWriter(
            queue: SimulatedQueue(medium, faults: .only(0, .short(moved))),
            disk: DiskGeometry(path: "simulated", sizeBytes: 65_536, blockBytes: 512))
        do throws(StreamFault) {
            try writer.requests.write([UInt8](repeating: 1, count: 2048), at: 4096, tick: { _ in })
            Issue.record("no error")
        } catch {
            guard case .device(let error) = error else { throw error }
            #expect(error == DiskIOError(.write, path: "simulated", offset: 4096, lengthBytes: 2048, cause: SystemError(EIO)))
        }
        // The error was told once; the writer goes on.
        try writer.requests.write([UInt8](repeating: 2, count: 2048), at: 4096, tick: { _ in })
        #expect(Array(medium.bytes[4096..<6144]) == [UInt8](repeating: 2, count: 2048))
    }

    @Test("A long array is written in pieces, whatever comes back short", arguments: 0..<6)
    func longWrite(seed: UInt64) throws {
        let medium = SimulatedMedium([UInt8](repeating: 0, count: 4 << 20), blockBytes: 4096)
        let bytes = sampleBytes((3 << 20) - 4096, seed: seed)
        var writer = try DiskWriter(
            queue: SimulatedQueue(medium, seed: seed, faults: .survivable(blockBytes: 4096)),
            disk: DiskGeometry(path: "simulated", sizeBytes: 4 << 20, blockBytes: 4096))
        try writer.requests.write(bytes, at: 8192, tick: { _ in })
        try writer.requests.flush(tick: { _ in })
        #expect(medium.violations == [])
        let isRight = isSame(unsafe bytes.span.bytes, medium.bytes, at: 8192)
        #expect(isRight, "seed \(seed)")
    }

    // MARK: Streaming

    /// Pushes `count` whole slots through a writer, as fast as it takes them.
    private func push(
        count: Int, slotBytes: Int, slots: Int, capacity: Int, seed: UInt64
    ) throws -> (SimulatedMedium, SimulatedMedium) {
        let ring = try SlotRing(capacityBytes: slots * slotBytes, slotBytes: slotBytes)
        let (medium, expected) = (
            SimulatedMedium([UInt8](repeating: 0, count: count * slotBytes)),
            SimulatedMedium(sampleBytes(slotBytes, seed: seed) + [UInt8](repeating: 0, count: (count - 1) * slotBytes))
        )
        let pattern = Array(expected.before[..<slotBytes])
        let disk = SimulatedQueue(medium, capacity: capacity, seed: seed)
        let bell = disk.waker
        let inbox = ExtentQueue(waker: bell)
        var writer = try DiskWriter(
            queue: disk, disk: DiskGeometry(path: "simulated", sizeBytes: UInt64(count * slotBytes), blockBytes: 512))
        let lane = try WorkerThread(name: "test-lane") {
            for index in 0..<count {
                let slot = index % slots
                guard (try? ring.waitUntilFree(slot: slot)) != nil else { break }
                ring.buffer.write(pattern, at: slot * slotBytes)
                ring.buffer.write([UInt8(index & 255), UInt8(index >> 8)], at: slot * slotBytes)
                ring.retain(slot: slot)
                inbox.push(
                    DecodedExtent(
                        memory: (ring, slot, slot * slotBytes), lengthBytes: slotBytes,
                        deviceOffset: UInt64(index * slotBytes)))
            }
            inbox.close()
        }
        writer.drain(inbox, TransferState(), tick: { _ in })
        lane.join()
        #expect(writer.firstError == nil)
        #expect(writer.activity.bytesInFlight == 0)
        return (medium, expected)
    }

    @Test("Bytes in flight stay within their bound, and reach it")
    func bytesInFlight() throws {
        let (medium, _) = try push(count: 40, slotBytes: 1 << 20, slots: 32, capacity: 64, seed: 1)
        #expect(medium.bytesInFlightMax == 16 << 20)
        #expect(medium.violations == [])
    }

    @Test("Requests in flight stay within the queue's capacity, and every slot arrives", arguments: [1, 2, 7])
    func requestsInFlight(capacity: Int) throws {
        let (medium, expected) = try push(count: 600, slotBytes: 4096, slots: 32, capacity: capacity, seed: 2)
        #expect(medium.requestsInFlightMax <= capacity)
        #expect(medium.violations == [])
        let pattern = Array(expected.before[2..<4096])
        for index in 0..<600 {
            let slot = Array(medium.bytes[index * 4096..<(index + 1) * 4096])
            #expect(Int(slot[0]) | Int(slot[1]) << 8 == index)
            #expect(isSame(unsafe pattern.span.bytes, slot, at: 2), "slot \(index)")
        }
    }

    @Test("Whatever changes between the writer's look and its wait keeps it from waiting, and what comes later wakes it")
    func inboxWakes() throws {
        let changes: [@Sendable (ExtentQueue) -> Void] = [
            { $0.push(DecodedExtent(memory: nil, lengthBytes: 512, deviceOffset: 0)) },
            {
                $0.laneStarted()
                $0.laneEnded()
            },
        ]
        for change in changes {
            let bell = ConditionWaker()
            let inbox = ExtentQueue(waker: bell)
            var pieces: [DecodedExtent] = []
            #expect(inbox.take(into: &pieces))
            change(inbox)
            #expect(!inbox.willWait())
            #expect(!bell.wait(until: .now))
            _ = inbox.take(into: &pieces)
            #expect(inbox.willWait())
            change(inbox)
            #expect(bell.wait(until: .now))
        }
    }

    /// Streams one run of zeros of 8 MiB, and returns what was asked of the disk.
    private func zeros(
        _ faults: SimulatedFaults, state: TransferState = TransferState(), seed: UInt64 = 0
    ) throws -> (SimulatedMedium, DiskIOError?) {
        let medium = SimulatedMedium([UInt8](repeating: 7, count: 9 << 20), blockBytes: 4096)
        let disk = SimulatedQueue(medium, seed: seed, faults: faults)
        let inbox = ExtentQueue(waker: disk.waker)
        var writer = try DiskWriter(
            queue: disk, disk: DiskGeometry(path: "simulated", sizeBytes: 9 << 20, blockBytes: 4096))
        for index in 0..<8 {
            inbox.push(DecodedExtent(memory: nil, lengthBytes: 1 << 20, deviceOffset: UInt64(index) << 20))
        }
        inbox.close()
        writer.drain(inbox, state, tick: { _ in })
        return (medium, writer.firstError)
    }

    @Test("Zeros arrive by every method, and pieces of them are joined", arguments: [0, 1, 2])
    func zeroMethods(known: Int) throws {
        let (medium, error) = try zeros(
            SimulatedFaults { request, _, _ in
                guard case .zero(let method) = request.operation else { return .all }
                return ZeroMethod.allCases.prefix(known).contains(method) ? .all : .failure(EOPNOTSUPP)
            })
        #expect(error == nil && medium.violations == [] && isDrained(medium))
        let expected = [UInt8](repeating: 0, count: 8 << 20) + [UInt8](repeating: 7, count: 1 << 20)
        let isRight = medium.bytes == expected
        #expect(isRight)
        // Known methods: one request for each failed method and one for all; none known: zeros are written.
        #expect(known == 0 ? medium.operations.count > 8 : medium.operations.count <= 2)
    }

    @Test("After an error or a cancellation no more zeros are written", arguments: [true, false])
    func zerosStop(isCancelled: Bool) throws {
        let state = TransferState()
        let (medium, error) = try zeros(
            SimulatedFaults { request, place, _ in
                guard case .write = request.operation else { return .failure(EOPNOTSUPP) }
                if place.number < 3 { return .all }
                if isCancelled { state.stop.cancel() }
                return isCancelled ? .all : .failure(EIO)
            }, state: state)
        #expect(isDrained(medium))
        #expect(medium.operations.count < 7)
        #expect((error == nil) == isCancelled)
    }

    @Test("A run cancelled while the first hole-punch is refused is cancelled, and no error of the disk")
    func cancelledDuringARefusedZeroing() throws {
        for seed in 0..<20 as Range<UInt64> {
            let state = TransferState()
            let (medium, error) = try zeros(
                SimulatedFaults { request, _, _ in
                    state.stop.cancel()
                    return request.operation.isZeroing ? .failure(EOPNOTSUPP) : .all
                }, state: state, seed: seed)
            #expect(error == nil, "seed \(seed)")
            #expect(isDrained(medium), "seed \(seed)")
        }
        // A device that fails is told all the same.
        let (_, error) = try zeros(SimulatedFaults { _, _, _ in .failure(EIO) }, state: TransferState())
        #expect(error?.cause == SystemError(EIO))
    }

    // MARK: Runs that end early

    @Test("A run cancelled at any moment drains, says so, and leaves no table", arguments: 0..<12)
    func cancellation(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let (medium, state) = (run.newMedium, TransferState())
        var random = SplitMix64(state: seed)
        let moment = UInt64.random(in: 0..<UInt64(run.source.count), using: &random)
        let source = MemorySource(run.source, seed: seed) { at throws(SourceError) in
            if at >= moment { state.stop.cancel() }
        }
        let fault = try run.execute(on: medium, seed: seed, state: state, source: source)
        guard case .cancelled? = fault else {
            Issue.record("seed \(seed): \(String(describing: fault))")
            return
        }
        #expect(isDrained(medium) && medium.violations == [], "seed \(seed)")
        let tables = run.tables(medium.bytes)
        #expect(tables == [], "seed \(seed)")
    }

    @Test("A source that fails at any moment ends the run with its own error", arguments: 0..<12)
    func sourceFailure(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        var random = SplitMix64(state: seed)
        let moment = UInt64.random(in: 0..<UInt64(run.source.count), using: &random)
        let gone = SourceError(.unreachable, source: "memory", reason: "gone", offset: moment)
        let source = MemorySource(run.source, seed: seed) { at throws(SourceError) in if at >= moment { throw gone } }
        let fault = try run.execute(on: medium, seed: seed, source: source)
        guard case .source(let error)? = fault else {
            // Where the pieces were too large to come to that moment.
            let tables = run.tables(medium.bytes)
            #expect(fault == nil && tables.count == 2, "seed \(seed)")
            return
        }
        #expect(error == gone, "seed \(seed)")
        #expect(isDrained(medium) && medium.violations == [], "seed \(seed)")
        let tables = run.tables(medium.bytes)
        #expect(tables == [], "seed \(seed)")
    }

    @Test("A corrupt image in the middle leaves no table", arguments: 0..<6)
    func corruptImage(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        var bytes = run.source
        var random = SplitMix64(state: seed)
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 0x40
        let fault = try run.execute(on: medium, seed: seed, source: MemorySource(bytes, seed: seed))
        guard case .image? = fault else {
            Issue.record("seed \(seed): \(String(describing: fault))")
            return
        }
        #expect(isDrained(medium) && medium.violations == [], "seed \(seed)")
        let tables = run.tables(medium.bytes)
        #expect(tables == [], "seed \(seed)")
    }
}
