import Glibc

@testable import StreamDisk
@testable import TestSupport

/// What a power cut may leave at every moment of a run, and whether that is right.
///
/// A write is safe when a flush that was handed over after its completion has completed. Of every other write handed over by
/// then, completed or not, any blocks may be on the disk and any may be missing, in any order: the volatile cache of a disk
/// promises nothing but whole blocks. What a failed flush should have made safe is not made safe by a later one.
///
/// To make a cut cheap, each content of a block has a number, the states of the disk are kept as numbers, and bytes are looked
/// at once for each content. Nothing of a disk without a valid table needs a look at its data.
struct PowerCuts {
    /// Which of the loose writes have landed.
    enum Choice: CustomStringConvertible {
        case all, none, last, tables, data
        case allBut(Int)
        case random(UInt64)

        var description: String {
            switch self {
            case .all: "all landed"
            case .none: "none landed"
            case .last: "only the last landed"
            case .tables: "only writes to tables landed"
            case .data: "only writes to data landed"
            case .allBut(let place): "all but number \(place) landed"
            case .random(let seed): "drawn with \(seed)"
            }
        }
    }

    /// What stands on a disk after a cut.
    struct Finding: Equatable {
        var hasOldTable = false
        var hasNewPrimary = false
        var hasNewBackup = false
        var hasNewMBR = false
        /// A broken promise, in words.
        var problem: String?

        var hasTable: Bool { hasOldTable || hasNewPrimary || hasNewBackup }
        var isWhole: Bool { hasNewPrimary && hasNewBackup && hasNewMBR }
    }

    private let journal: [SimulatedMedium.Event]
    private var numbers: BlockNumbers
    private let truths: [Truth]
    private let newMBR: Int32
    /// Table areas: before and from these blocks.
    private let tableEnd: Int
    private let backupStart: Int

    /// As of the last completed flush; other than that only within `cut`.
    private var disk: [Int32]
    /// Of each truth, blocks of its partitions that are not as they must be.
    private var wrong: [Int]
    private var next = 0
    private(set) var flushesDone = 0
    /// Writes that no flush covers, in the order in which they were handed over.
    private var loose: [Loose] = []
    /// Journal place of each flush under way, with the writes that it will make safe.
    private var flushes: [Int: [Int]] = [:]
    /// The tables found, by the numbers of an area's blocks.
    private var seen: [[Int32]: [Bool]?] = [:]
    /// Of the safe state.
    private var safeTables: (primary: [Bool]?, backup: [Bool]?)?

    private struct Loose {
        let event: Int
        let isTable: Bool
        let start: Int
        /// Of its blocks; -1 where a later, safe write made it impossible that it lands.
        var numbers: [Int32]
        /// Bytes moved, nil before the completion.
        var moved: Int?
        /// A flush that should have made it safe has failed.
        var isDoubtful = false
    }

    /// One system that may be on the disk: its table, and every block of its partitions.
    private struct Truth {
        let table: CheckedTable
        let expected: [Int32]
        var isCovered: [Bool]
    }

    init(_ run: SimulatedRun, _ medium: SimulatedMedium) {
        let blockBytes = medium.blockBytes
        var numbers = BlockNumbers(blockBytes: blockBytes)
        journal = medium.journal
        disk = numbers.numbers(of: medium.before)
        let blocks = disk.count
        let after = numbers.numbers(of: run.after)
        let old = [true, false].compactMap { CheckedTable(of: medium.before, isPrimary: $0, blockBytes: blockBytes) }
        precondition(old.count != 1 && old.first == old.last)
        guard let new = CheckedTable(of: run.imageDisk, isPrimary: true, blockBytes: blockBytes) else {
            fatalError("fdisk made no table")
        }
        truths = ([(new, after)] + old.prefix(1).map { [disk] in ($0, disk) }).map { table, expected in
            var truth = Truth(table: table, expected: expected, isCovered: [Bool](repeating: false, count: blocks))
            for partition in table.partitions { for block in partition { truth.isCovered[block] = true } }
            return truth
        }
        newMBR = numbers.numbers(of: Array(run.imageDisk[..<blockBytes]))[0]
        tableEnd = (2 * blockBytes + new.entries.count) / blockBytes
        backupStart = blocks - (tableEnd - 1)
        self.numbers = numbers
        wrong = truths.map { [disk] truth in
            (0..<blocks).reduce(0) { $0 + (truth.isCovered[$1] && truth.expected[$1] != disk[$1] ? 1 : 0) }
        }
    }

    // MARK: The journal

    /// Lets the journal run up to, not including, its `moment`th event; moments must not go back.
    mutating func advance(to moment: Int) {
        while next < min(moment, journal.count) {
            step(journal[next])
            next += 1
        }
    }

    private mutating func step(_ event: SimulatedMedium.Event) {
        switch event {
        case .submitted(let submission):
            switch submission.operation {
            case .write:
                let start = Int(submission.offset) / numbers.blockBytes
                let blocks = numbers.numbers(of: submission.bytes)
                loose.append(
                    Loose(
                        event: next, isTable: start < tableEnd || start + blocks.count > backupStart, start: start,
                        numbers: blocks))
            case .flush: flushes[next] = loose.filter { $0.moved != nil && !$0.isDoubtful }.map(\.event)
            case .read, .zero: break
            }
        case .completed(let event, let moved):
            if let covered = flushes.removeValue(forKey: event) {
                for event in covered { settle(event) }
                flushesDone += 1
            } else if let index = loose.firstIndex(where: { $0.event == event }) {
                loose[index].moved = moved
            }
        case .failed(let event, let blocks):
            // No flush promises anything of a failed write: it stays loose. Nor of what a failed flush was to cover.
            guard let covered = flushes.removeValue(forKey: event), blocks != nil else { return }
            for index in loose.indices where covered.contains(loose[index].event) { loose[index].isDoubtful = true }
        }
    }

    private mutating func settle(_ event: Int) {
        guard let index = loose.firstIndex(where: { $0.event == event }), !loose[index].isDoubtful else { return }
        var write = loose[index]
        let whole = (write.moved ?? 0) / numbers.blockBytes
        for block in write.numbers.indices where write.numbers[block] >= 0 {
            // What a short write did not reach may have landed all the same.
            if block >= whole { continue }
            put(write.numbers[block], at: write.start + block)
            write.numbers[block] = -1
        }
        // What an earlier write left of the same blocks, a failed or a short one, is gone now.
        let range = write.start..<write.start + whole
        for earlier in loose.indices where earlier < index {
            let start = loose[earlier].start
            for block in range.clamped(to: start..<start + loose[earlier].numbers.count) {
                loose[earlier].numbers[block - start] = -1
            }
        }
        loose[index] = write
        loose.removeAll { $0.event <= event && $0.numbers.allSatisfy { $0 < 0 } }
        if write.isTable { safeTables = nil }
    }

    // MARK: Cuts

    /// Whether a table can be valid after a cut at this moment: at others one look is as good as many.
    var isTableInPlay: Bool {
        mutating get {
            let (primary, backup) = tablesOfSafeState()
            return primary != nil || backup != nil || loose.contains { $0.isTable }
        }
    }

    var looseCount: Int { loose.count }

    /// A disk as the cut could have left it at this moment.
    mutating func cut(_ choice: Choice) -> Finding {
        var undo: [(block: Int, number: Int32)] = []
        let hasLooseTables = loose.contains { $0.isTable }
        var tables = tablesOfSafeState()
        var random = SplitMix64(state: 0)
        if case .random(let seed) = choice { random = SplitMix64(state: seed) }
        if hasLooseTables {
            land(choice, tables: true, &random, &undo)
            tables = (find(isPrimary: true), find(isPrimary: false))
        }
        var finding = Finding()
        finding.hasNewMBR = disk[0] == newMBR
        if tables.primary != nil || tables.backup != nil {
            land(choice, tables: false, &random, &undo)
            finding.hasNewPrimary = tables.primary?[0] ?? false
            finding.hasNewBackup = tables.backup?[0] ?? false
            for (name, table) in [("primary", tables.primary), ("backup", tables.backup)] {
                guard let table else { continue }
                if table.count > 1 && table[1] { finding.hasOldTable = true }
                // Of two systems with one table either may be whole.
                let possible = table.indices.filter { table[$0] }
                if !possible.contains(where: { wrong[$0] == 0 }) {
                    finding.problem =
                        possible.isEmpty
                        ? "a valid \(name) table that nobody made"
                        : "a valid \(name) table, \(possible.contains(0) ? "new" : "old"), over "
                            + "\(possible.map { "\(wrong[$0])" }.joined(separator: " or ")) wrong blocks"
                }
            }
        }
        for (block, number) in undo.reversed() { put(number, at: block) }
        return finding
    }

    private mutating func land(
        _ choice: Choice, tables: Bool, _ random: inout SplitMix64, _ undo: inout [(block: Int, number: Int32)]
    ) {
        var places = loose.indices.filter { loose[$0].isTable == tables }
        var (isPerWrite, chance) = (true, 1000)
        switch choice {
        case .all: break
        case .none: return
        case .last: places = places.filter { $0 == loose.count - 1 }
        case .tables: if !tables { return }
        case .data: if tables { return }
        case .allBut(let place): places.removeAll { $0 == place }
        case .random:
            // Rare outcomes are the interesting ones: next to fair coins also nearly all and nearly nothing.
            chance = [0, 10, 100, 500, 900, 990, 1000].randomElement(using: &random) ?? 500
            isPerWrite = Bool.random(using: &random)
            places.shuffle(using: &random)
        }
        for place in places {
            let write = loose[place]
            if isPerWrite && chance < 1000 && Int.random(in: 0..<1000, using: &random) >= chance { continue }
            for (block, number) in write.numbers.enumerated() where number >= 0 {
                if !isPerWrite && Int.random(in: 0..<1000, using: &random) >= chance { continue }
                undo.append((write.start + block, disk[write.start + block]))
                put(number, at: write.start + block)
            }
        }
    }

    private mutating func put(_ number: Int32, at block: Int) {
        let was = disk[block]
        if was == number { return }
        for truth in truths.indices where truths[truth].isCovered[block] {
            let expected = truths[truth].expected[block]
            if was == expected { wrong[truth] += 1 } else if number == expected { wrong[truth] -= 1 }
        }
        disk[block] = number
    }

    // MARK: Tables

    private mutating func tablesOfSafeState() -> (primary: [Bool]?, backup: [Bool]?) {
        if let safeTables { return safeTables }
        let tables = (find(isPrimary: true), find(isPrimary: false))
        safeTables = tables
        return tables
    }

    /// Which of the truths speak of themselves in this table; nil when it is not valid.
    private mutating func find(isPrimary: Bool) -> [Bool]? {
        let area = isPrimary ? Array(disk[1..<tableEnd]) : Array(disk[backupStart...])
        if let known = seen[area] { return known }
        let (disk, numbers) = (disk, numbers)
        let table = CheckedTable(isPrimary: isPrimary, blocks: disk.count, blockBytes: numbers.blockBytes) { range in
            range.flatMap { numbers.content(disk[$0]) }
        }
        let matches = table.map { table in truths.map { $0.table == table } }
        seen[area] = .some(matches)
        return matches
    }
}

/// A number for each content of a block: the same for the same bytes.
struct BlockNumbers {
    private struct Content: Hashable {
        let bytes: [UInt8]
        // Not byte by byte, as an array does it.
        func hash(into hasher: inout Hasher) {
            unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        }
        static func == (one: Content, two: Content) -> Bool {
            one.bytes.count == two.bytes.count && isSame(unsafe one.bytes.span.bytes, two.bytes, at: 0)
        }
    }

    let blockBytes: Int
    private var known: [Content: Int32] = [:]
    private var contents: [[UInt8]] = []

    init(blockBytes: Int) { self.blockBytes = blockBytes }

    mutating func numbers(of bytes: [UInt8]) -> [Int32] {
        (0..<bytes.count / blockBytes).map { block in
            let content = Content(bytes: Array(bytes[block * blockBytes..<(block + 1) * blockBytes]))
            if let number = known[content] { return number }
            let number = Int32(contents.count)
            known[content] = number
            contents.append(content.bytes)
            return number
        }
    }

    func content(_ number: Int32) -> [UInt8] { contents[Int(number)] }
}
