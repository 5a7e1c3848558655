import StreamDisk

/// Fetches, hashes and decodes without a disk: what the lanes decode is discarded.
struct DecodeProbe {
    /// The maximum number of concurrent decoders.
    var lanes = 1

    struct Outcome {
        /// From the start of the lanes to their end, without the inspection of the image.
        let seconds: Double
        let decodedBytes: UInt64
        let stages: [StageReport]
    }

    func run(image source: any ByteSource) throws -> Outcome {
        defer { source.close() }
        let transfer = TransferState()
        let contents = try readContents(of: source, observer: transfer.observer)
        var discard = Discard()
        let plan = try LanePlan(contents, limits: .none, lanesMax: lanes)
        let jobs = ListedJobs(contents.images.map { ImageJob($0) })
        let pipeline = try Pipeline(jobs, from: source, plan: plan, for: discard, transfer: transfer)
        let begin = Instant.now
        try pipeline.run(into: &discard, tick: { _ in })
        return Outcome(
            seconds: Instant.now.seconds(since: begin),
            decodedBytes: transfer.counters.decodedBytes.load(ordering: .relaxed), stages: transfer.counters.reports)
    }
}

/// Takes every extent immediately and keeps nothing.
private struct Discard: ExtentConsumer, ~Copyable {
    private let wake = ConditionWaker()
    let blockBytes = 512
    let wantsChecksums = false
    var waker: any QueueWaker { wake }

    mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void) {
        var extents: [DecodedExtent] = []
        while queue.take(into: &extents) {
            for extent in extents { extent.release() }
            extents.removeAll(keepingCapacity: true)
            if queue.willWait() { wake.wait(until: .after(seconds: 1)) }
        }
        for extent in extents { extent.release() }
    }
}
