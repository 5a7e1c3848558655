import CosiFormat

/// The seeds of a run: what they have of its images is looked for once, on a thread of the feed.
final class SeedSearch: Sendable {
    let seeds: [SeedFile]
    private let indexes: [ContentIndex]
    /// Frames with data have at most so much of it.
    private let frameBytesMax: Int

    /// - Parameter indexes: of the run's images, at least one.
    init(_ seeds: [SeedFile], _ indexes: [ContentIndex]) {
        self.seeds = seeds
        self.indexes = indexes
        frameBytesMax = indexes.flatMap(\.frames).reduce(1) { $1.isZero ? $0 : max($0, Int($1.contentBytes)) }
    }

    /// What it needs, beside the indexes: the table, and the larger of what scanning and copying take.
    ///
    /// - Parameter threads: that copy.
    func memoryBytes(threads: Int) -> UInt64 {
        let scan = indexes.map { SeedScan.memoryBytes(meanBytes: $0.meanFrameBytes) }.max() ?? 0
        return SeedTable.memoryBytes(frames: indexes.reduce(0) { $0 + $1.frames.count })
            + max(scan, UInt64(threads) * SeedCopy.memoryBytes(frameBytesMax: frameBytesMax))
    }

    /// Reads the seeds: once for each mean that the images were cut for, and they usually have one.
    func scan(_ stop: Cancellation) throws(StreamFault) -> (table: SeedTable, problems: [SeedScan.Problem]) {
        var table = SeedTable()
        for index in indexes { for frame in index.frames { table.want(frame) } }
        var problems: [SeedScan.Problem] = []
        for mean in Set(indexes.map(\.meanFrameBytes)).sorted() {
            let found = try SeedScan(seeds, meanBytes: mean, table).run(stop: stop)
            table = found.table
            problems += found.problems
        }
        return (table, problems)
    }

    func copy(blockBytes: Int) throws(StreamFault) -> SeedCopy {
        try SeedCopy(seeds, frameBytesMax: frameBytesMax, blockBytes: blockBytes)
    }
}
