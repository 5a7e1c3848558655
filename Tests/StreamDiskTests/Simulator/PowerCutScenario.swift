import Glibc

@testable import StreamDisk
@testable import TestSupport

/// What was seen of many cuts.
struct Census {
    var cuts = 0
    /// With a table that was valid or could have become it.
    var inPlay = 0
    var old = 0
    var backupOnly = 0
    var whole = 0
    /// How the runs ended.
    var outcomes: Set<String> = []
    /// Broken promises, in words; the first few.
    var problems: [String] = []
}

/// One run of the simulator: an image, a disk and what goes wrong, all drawn from a seed.
struct Scenario {
    /// What the source does.
    enum Delivery: CaseIterable {
        case whole, fails, cancels, flipsBit, stopsShort
    }

    let seed: UInt64
    let run: SimulatedRun
    var faults: SimulatedFaults
    var delivery = Delivery.whole
    var disorder = Disorder.none
    private let isDiskSound: Bool
    private let lanes: Int
    private let capacity: Int
    private let slotBytes: Int
    private let goal: SimulatedRun.Goal
    private var random: SplitMix64

    /// - Parameters:
    ///   - was: what the disk carried, when it is not to be drawn.
    ///   - isPlain: nothing goes wrong but what a writer makes good.
    init(seed: UInt64, was: SimulatedRun.Was? = nil, isPlain: Bool = false) throws {
        self.seed = seed
        var random = SplitMix64(state: seed)
        let shape = SimulatedRun.Shape.all[Int(seed % 4)]
        run = try SimulatedRun.prepared(shape, was: was ?? SimulatedRun.Was.allCases.randomElement(using: &random) ?? .other)
        lanes = Int.random(in: 1...3, using: &random)
        capacity = Int.random(in: 2...16, using: &random)
        slotBytes = [16 << 10, 32 << 10, 64 << 10].randomElement(using: &random) ?? 16 << 10
        let code = [EIO, ENOSPC].randomElement(using: &random) ?? EIO
        goal = !isPlain && Int.random(in: 0..<3, using: &random) == 0 ? .writeAndReadBack : .write
        // Half of the runs end well, the others in one way or another.
        let kind = isPlain ? 0 : Int.random(in: 0..<10, using: &random)
        let number =
            [Int.random(in: 0..<10, using: &random), Int.random(in: 0..<120, using: &random)]
            .randomElement(using: &random) ?? 0
        switch kind {
        case 5: faults = .hard(number, code, isGone: false, blockBytes: shape.blockBytes)
        case 6: faults = .hard(number, code, isGone: true, blockBytes: shape.blockBytes)
        case 7: faults = .flush(number % 6, .failure(code))
        default:
            faults = .survivable(blockBytes: shape.blockBytes, zeroMethods: Int.random(in: 0...2, using: &random))
            if kind > 7 { delivery = Delivery.allCases.dropFirst().randomElement(using: &random) ?? .fails }
        }
        isDiskSound = kind < 5 || kind > 7
        self.random = random
    }

    /// Runs it, and looks at cuts at every moment of it.
    mutating func survey(into census: inout Census) throws {
        let medium = run.newMedium
        let fault = try execute(on: medium)
        let ending = fault.map { String($0.kind.prefix { $0 != "." }) } ?? "done"
        census.outcomes.insert(ending)
        func report(_ problem: String, _ moment: Int, _ choice: PowerCuts.Choice) {
            guard census.problems.count < 5 else { return }
            let last = medium.journal.prefix(moment).suffix(8).map { "\n    " + medium.description(of: $0) }.joined()
            census.problems.append(
                "STREAM_DISK_SEED=\(seed), a run that ended with \(ending), cut at moment \(moment) of "
                    + "\(medium.journal.count), \(choice): \(problem); before it:\(last)")
        }
        if isDiskSound && disorder.isNone {
            if (fault == nil) != (delivery == .whole) && !(fault == nil && delivery.isByChance) {
                report("the source: \(delivery)", medium.journal.count, .all)
            }
            for violation in medium.violations { report(violation, medium.journal.count, .all) }
        }
        var cuts = PowerCuts(run, medium)
        let end = medium.journal.count
        for moment in 0...end {
            cuts.advance(to: moment)
            let isInPlay = cuts.isTableInPlay
            for choice in choices(cuts, isInPlay: isInPlay) {
                let finding = cuts.cut(choice)
                if census.problems.count >= 5 { return }
                census.cuts += 1
                if isInPlay { census.inPlay += 1 }
                if finding.hasOldTable && cuts.flushesDone == 0 { census.old += 1 }
                if finding.hasNewBackup && !finding.hasNewPrimary { census.backupOnly += 1 }
                if finding.isWhole { census.whole += 1 }
                if let problem = finding.problem { report(problem, moment, choice) }
                guard isDiskSound && cuts.flushesDone > 0 else { continue }
                // Each step of the commit stands on the one before.
                if finding.hasNewPrimary && !finding.hasNewBackup { report("a primary table without its backup", moment, choice) }
                if finding.hasNewMBR && !finding.hasNewPrimary { report("LBA 0 without its table", moment, choice) }
                guard moment == end else { continue }
                if fault == nil && !finding.isWhole { report("what was committed is not safe", moment, choice) }
                if fault != nil && finding.hasTable { report("a failed run left a table", moment, choice) }
            }
        }
    }

    private mutating func choices(_ cuts: PowerCuts, isInPlay: Bool) -> [PowerCuts.Choice] {
        guard isInPlay, cuts.looseCount > 0 else { return [.random(random.next())] }
        return [.all, .none, .last, .tables, .data, .allBut(Int.random(in: 0..<cuts.looseCount, using: &random))]
            + (0..<26).map { _ in .random(random.next()) }
    }

    private mutating func execute(on medium: SimulatedMedium) throws -> StreamFault? {
        let state = TransferState()
        let place = Int.random(in: 0..<run.source.count, using: &random)
        var bytes = run.source
        if delivery == .flipsBit { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        let (delivery, seed) = (delivery, seed)
        let source = MemorySource(bytes, seed: seed, endsAt: delivery == .stopsShort ? place : nil) { at throws(SourceError) in
            // Now and then it takes its time.
            if (at ^ seed) % 5 == 0 { usleep(UInt32(at % 300)) }
            guard at >= place else { return }
            if delivery == .fails { throw SourceError(.unreachable, source: "memory", reason: "gone", offset: at) }
            if delivery == .cancels { state.stop.cancel() }
        }
        let disk = SimulatedQueue(medium, capacity: capacity, seed: seed, faults: faults)
        return try run.execute(
            through: DisorderedQueue(disk, disorder), medium, seed: seed, lanes: lanes, slotBytes: slotBytes, state: state,
            source: source, goal: goal)
    }
}

extension Scenario.Delivery {
    /// Its moment lies within the pieces delivered, or it does not.
    fileprivate var isByChance: Bool { self == .fails || self == .cancels }
}
