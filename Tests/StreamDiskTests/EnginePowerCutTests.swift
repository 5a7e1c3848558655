import Testing

@testable import StreamDisk

/// The promise of the whole: a disk that carries a valid partition table carries all that the table speaks of.
@Suite("Power cuts at any moment of a run")
struct EnginePowerCutTests {
    /// How often each kind of disk was seen, so that a test which sees only one kind is known to be worthless.
    private struct Census {
        var untouched = 0
        var without = 0
        var backupOnly = 0
        var complete = 0
    }

    /// Looks at cuts at every moment of the journal.
    private func survey(_ run: SimulatedRun, _ medium: SimulatedMedium, seed: UInt64) -> Census {
        var census = Census()
        var cuts = PowerCuts(medium)
        for moment in 0...medium.journal.count {
            cuts.advance(to: moment)
            for round in 0..<2 {
                let disk = cuts.cut(seed: seed &* 1_000_003 &+ UInt64(2 * moment + round))
                let tables = run.tables(disk)
                let place: Comment = "seed \(seed), moment \(moment) of \(medium.journal.count), round \(round): \(tables)"
                if tables.isEmpty { census.without += 1 }
                for table in tables {
                    switch table {
                    // Compared outside of #expect, which would print the disk.
                    case .primary(guid: 0x11), .backup(guid: 0x11):
                        let isRight = run.holdsImages(disk)
                        #expect(isRight, place)
                    default:
                        let isRight = run.holdsOldData(disk)
                        #expect(isRight, place)
                    }
                }
                if tables.contains(.primary(guid: 0x11)) { census.complete += 1 }
                if tables == [.backup(guid: 0x11)] { census.backupOnly += 1 }
                if tables.contains(.primary(guid: 0x22)) { census.untouched += 1 }
            }
        }
        return census
    }

    @Test("A valid table, old or new, primary or backup, stands over its own bytes only", arguments: 0..<8)
    func tablesStandOverTheirBytes(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let faults: SimulatedFaults =
            seed % 2 == 0 ? .survivable(blockBytes: 512, zeroMethods: Int(seed / 2) % 3) : .none
        let fault = try run.execute(
            on: medium, seed: seed, lanes: 1 + Int(seed % 3), capacity: 2 + Int(seed), faults: faults)
        #expect(fault == nil)
        #expect(medium.journal.count > 150)
        let census = survey(run, medium, seed: seed)
        #expect(census.untouched > 0 && census.without > 100 && census.backupOnly > 0 && census.complete > 0)
    }

    @Test("What was committed is safe: no cut after the end takes a byte of it", arguments: 0..<4)
    func committed(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        let fault = try run.execute(on: medium, seed: seed)
        #expect(fault == nil)
        var cuts = PowerCuts(medium)
        cuts.advance(to: medium.journal.count)
        let isSafe = cuts.cut(seed: seed) == medium.bytes
        #expect(isSafe)
        let tables = run.tables(medium.bytes)
        #expect(tables == [.primary(guid: 0x11), .backup(guid: 0x11)])
    }

    @Test("Also where the disk fails on the way", arguments: 0..<10)
    func failingRuns(seed: UInt64) throws {
        let run = try SimulatedRun.prepared()
        let medium = run.newMedium
        // A write or the flush of every part of the order, the commit's among them.
        let (flush, isFlush) = (Int(seed) % 5, seed >= 5)
        let faults: SimulatedFaults =
            isFlush ? .flush(flush, .failure(5)) : .after(flushes: flush, 0, .failure(5))
        let fault = try run.execute(on: medium, seed: seed, faults: faults)
        #expect(fault != nil)
        _ = survey(run, medium, seed: seed)
    }
}
