import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

/// The promise of the whole: a disk that carries a valid partition table carries all that the table speaks of.
///
/// `STREAM_DISK_CUTS` sets how many cuts are looked at, `STREAM_DISK_SEED` repeats one run over and over: what it draws is the
/// same every time, how its threads take turns is not.
@Suite("Power cuts at any moment of a run")
struct PowerCutTests {
    @Test("A valid table, old or new, primary or backup, stands over its own bytes only; what was committed is safe")
    func manyRuns() throws {
        let begin = ContinuousClock.now
        let wanted = setting("STREAM_DISK_CUTS") ?? 40_000
        let seeds = setting("STREAM_DISK_SEED")
        var (census, runs) = (Census(), 0)
        while census.cuts < wanted && census.problems.isEmpty {
            var scenario = try Scenario(seed: UInt64(seeds ?? runs))
            try scenario.survey(into: &census)
            runs += 1
        }
        for problem in census.problems { Issue.record("\(problem)") }
        print(
            "\(census.cuts) cuts of \(runs) runs in \(begin.duration(to: .now)): \(census.inPlay) with a table in play, "
                + "\(census.old) left the old one, \(census.backupOnly) the new backup alone, \(census.whole) the new whole; "
                + "\(census.problems.count) bad")
        // One that sees only one kind is worth nothing; every combination comes up within so many runs.
        if seeds == nil && census.problems.isEmpty {
            #expect(census.old > 100 && census.inPlay > 1000 && census.backupOnly > 100 && census.whole > 100)
            #expect(runs >= 32)
            #expect(census.outcomes == ["done", "source", "image", "cancelled", "device"])
        }
    }

    struct Mistake: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The broken promise; nil where it depends on which request of several it hits first.
        let says: String?
        let disorder: @Sendable (SimulatedRun) -> Disorder
        var isFailing = false

        init(
            _ name: String, _ says: String,
            _ action: @escaping @Sendable (DiskRequest, SimulatedFaults.Place, SimulatedRun) -> Disorder.Action
        ) {
            (testDescription, self.says) = (name, says)
            disorder = { run in Disorder { action($0, $1, run) } }
        }

        init(believing name: String, _ says: String?, isFailing: Bool) {
            (testDescription, self.says) = (name, says)
            disorder = { _ in Disorder(believesAnything: true) }
            self.isFailing = isFailing
        }
    }

    static let mistakes: [Mistake] =
        [
            ("the old tables", 0, "old, over"), ("the data", 2, "new, over"), ("the backup table", 3, "without its backup"),
            ("the primary table", 4, "LBA 0 without"), ("LBA 0", 5, "committed is not safe"),
        ].map { name, number, promise in
            Mistake("no flush after \(name)", promise) { request, place, _ in
                request.operation.isFlush && place.flushes == number ? .pretend : .pass
            }
        } + [
            Mistake("the old primary table is not invalidated", "old, over") { request, place, run in
                place.flushes == 0 && request.offset == run.shape.blockBytes ? .pretend : .pass
            },
            Mistake("the old backup table is not invalidated", "old, over") { request, place, run in
                place.flushes == 0 && request.offset == run.placement.backupOffsetBytes ? .pretend : .pass
            },
            Mistake("the gaps, parts of old partitions, are zeroed before the old tables", "old, over") { _, place, run in
                guard place.flushes == 0, place.sinceFlush == 0, let gap = run.areas.gaps.last else { return .pass }
                return .precede(offset: gap.lowerBound, bytes: [UInt8](repeating: 0, count: gap.count))
            },
            Mistake("invalidated after the data", "old, over") { request, place, _ in
                place.flushes == 0 && request.operation.isWrite ? .hold(untilFlush: 2) : .pass
            },
            Mistake("the backup table before the data", "new, over") { _, place, run in
                place.flushes == 2 && place.sinceFlush == 0
                    ? .precede(offset: run.placement.backupOffsetBytes, bytes: run.placement.backup) : .pass
            },
            Mistake("the primary table before the data", "new, over") { _, place, run in
                place.flushes == 2 && place.sinceFlush == 0
                    ? .precede(offset: UInt64(run.shape.blockBytes), bytes: run.placement.primary) : .pass
            },
            Mistake("the primary table before the backup", "without its backup") { request, place, _ in
                place.flushes == 3 && request.operation.isWrite ? .hold(untilFlush: 4) : .pass
            },
            Mistake("LBA 0 before the tables", "LBA 0 without") { _, place, run in
                place.flushes == 3 && place.sinceFlush == 0 ? .precede(offset: 0, bytes: run.placement.mbr) : .pass
            },
            Mistake("a write of data that is done only when the backup table is written", "new, over") { request, place, _ in
                place.flushes == 2 && place.sinceFlush == 3 && !request.operation.isFlush ? .hold(untilFlush: 3) : .pass
            },
            Mistake(believing: "short writes are taken for whole ones", ", over", isFailing: false),
            Mistake(believing: "failed writes and flushes are taken for done", nil, isFailing: true),
        ]

    @Test("It bites: any mistake in the order of writes is found", arguments: mistakes)
    func findsMistakes(mistake: Mistake) throws {
        var census = Census()
        for seed in 0..<200 where census.problems.isEmpty {
            var scenario = try Scenario(seed: UInt64(seed), was: .other, isPlain: !mistake.isFailing)
            if mistake.isFailing {
                scenario.faults = SimulatedFaults { request, place, random in
                    request.operation.isZeroing || Int.random(in: 0..<20, using: &random) > 0 ? .all : .failure(EIO)
                }
            }
            scenario.disorder = mistake.disorder(scenario.run)
            try scenario.survey(into: &census)
        }
        // And by the rule that it breaks.
        let found = try #require(census.problems.first, "nothing in \(census.cuts) cuts")
        if let says = mistake.says { #expect(found.contains(says), "\(found)") }
    }

    @Test("Before the first write the old system is found whole, after the last the new one", arguments: 0..<4)
    func bothEnds(seed: UInt64) throws {
        let run = try SimulatedRun.prepared(SimulatedRun.Shape.all[Int(seed)])
        let medium = run.newMedium
        let fault = try run.execute(on: medium, seed: seed, faults: .survivable(blockBytes: run.shape.blockBytes))
        #expect(fault == nil && medium.violations == [])
        var cuts = PowerCuts(run, medium)
        let (before, tablesBefore) = (cuts.cut(.none), run.tables(medium.before))
        #expect(before.hasOldTable && !before.hasNewBackup && before.problem == nil && tablesBefore.count == 2)
        cuts.advance(to: medium.journal.count)
        let after = cuts.cut(.none)
        #expect(after.isWhole && !after.hasOldTable && after.problem == nil)
        let isRight = run.holdsImages(medium.bytes)
        #expect(isRight && run.tables(medium.bytes) == [.primary(guid: 0x11), .backup(guid: 0x11)])
    }
}
