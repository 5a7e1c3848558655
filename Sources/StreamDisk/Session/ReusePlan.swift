import CosiFormat

/// What a run may find on its disk: the images' content indexes, and the threads that look for their frames.
struct ReusePlan {
    /// SHA-256 by so many threads is faster than any disk.
    private static let threadsMax = 8

    /// By the numbers of the partitions; empty: everything is fetched.
    let indexes: [Int: ContentIndex]
    private let samples: Bool
    private let seeds: SeedSearch?
    /// False with `--reuse never` and seeds.
    private let readsDisk: Bool
    private let threads: Int

    static let none = ReusePlan([:], samples: true)

    init(_ indexes: [Int: ContentIndex], samples: Bool, seeds: [SeedFile] = [], readsDisk: Bool = true) {
        self.indexes = indexes
        self.samples = samples
        self.seeds = seeds.isEmpty || indexes.isEmpty ? nil : SeedSearch(seeds, Array(indexes.values))
        self.readsDisk = readsDisk
        threads = indexes.isEmpty ? 0 : min(processorCount(), Self.threadsMax)
    }

    /// Fetches and checks the indexes, if `options` want them.
    ///
    /// - Parameters:
    ///   - numbers: of the partitions whose images matter; nil: all.
    ///   - targets: the paths of what the run writes: none of them can be a seed.
    ///   - samples: whether `.auto` looks at a few frames first.
    init(
        _ contents: ImageContents, of numbers: Set<Int>? = nil, onto targets: [String], from source: any ByteSource,
        samples: Bool = true,
        _ options: StreamOptions, _ reporter: ProgressReporter
    ) throws(StreamFault) {
        var seeds: [SeedFile] = []
        for path in options.seeds {
            do throws(DiskSelectionError) {
                seeds.append(try SeedFile.open(path: path, besides: targets))
            } catch {
                throw .disk(error)
            }
        }
        guard options.reuse != .never || !seeds.isEmpty, contents.partitionRegions.contains(where: { $0.contentIndex != nil })
        else {
            self = .none
            return
        }
        let (transfer, isOptional) = (reporter.transfer, options.reuse == .auto)
        let limits = MemoryLimits(askedBytes: options.memoryLimitBytes)
        let indexes = try BackgroundInspection(transfer).wait(source, onEvent: reporter.tell) { () throws(StreamFault) in
            try contents.contentIndexes(
                of: numbers, from: source, limits: limits, isOptional: isOptional, observer: transfer.observer)
        }
        self.init(indexes, samples: samples && options.reuse == .auto, seeds: seeds, readsDisk: options.reuse != .never)
    }

    var frameCount: Int { indexes.values.reduce(0) { $0 + $1.frames.count } }

    /// What it needs in addition to the lanes.
    var memoryBytes: UInt64 {
        UInt64(threads) * frameReaderBytes + UInt64(frameCount * MemoryLayout<ContentIndex.Frame>.stride)
            + (seeds?.memoryBytes(threads: threads) ?? 0)
    }

    /// What reusing and reading back need in addition to the lanes.
    ///
    /// - Parameter keptBytes: of the images.
    func besideBytes(readsBack: Bool, _ keptBytes: UInt64) -> UInt64 {
        memoryBytes + (readsBack ? ReadBack.memoryBytesMax(keptBytes: keptBytes, frameCount: frameCount) : 0)
    }

    /// This plan with its lanes; if memory is too tight and it was not asked for, a run that fetches everything.
    func fitting(
        _ options: StreamOptions, _ contents: ImageContents, largestBytes: UInt64? = nil, besideBytes: (ReusePlan) -> UInt64
    ) throws(StreamFault) -> (reuse: ReusePlan, lanes: LanePlan) {
        do throws(StreamFault) {
            let lanes = try LanePlan(
                contents, largestBytes: largestBytes, limits: MemoryLimits(askedBytes: options.memoryLimitBytes),
                besideBytes: besideBytes(self), lanesMax: options.lanesMax)
            return (self, lanes)
        } catch {
            guard !indexes.isEmpty, options.reuse == .auto else { throw error }
            return try Self.none.fitting(options, contents, largestBytes: largestBytes, besideBytes: besideBytes)
        }
    }

    /// The feed of a run over these images.
    ///
    /// - Parameter descriptors: of the disk's targets; open until the run has ended.
    func jobs(
        _ images: [ImageJob], onto disk: DiskGeometry, _ descriptors: [Int32], engine: WriteEngine
    ) -> any JobFeed {
        let indexed = images.filter { (indexes[$0.number]?.frames.count ?? 0) > 0 }
        guard !indexed.isEmpty, threads > 0 else { return ListedJobs(images) }
        let sorted = indexed.sorted { $0.decodedBytes > $1.decodedBytes }
        return ReuseJobs<HostQueue>(
            sorted.map { IndexedImage(job: $0, frames: indexes[$0.number]?.frames ?? []) },
            whole: images.filter { image in !indexed.contains { $0.number == image.number } }, samples: samples, disk: disk,
            threads: threads, seeds: seeds, readsDisk: readsDisk
        ) { () throws(StreamFault) in try HostQueue.open(descriptors, engine: engine) { _ in } }
    }
}
