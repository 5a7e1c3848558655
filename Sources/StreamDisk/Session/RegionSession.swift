import CosiFormat

/// Streams single partitions of an image onto their own targets: the pipeline of `StreamSession`, without partition tables.
struct RegionSession {
    let source: any ByteSource
    let options: StreamOptions
    let reporter: ProgressReporter

    private var transfer: TransferState { reporter.transfer }

    func run(onto regions: [RegionTarget], approve: (StreamPlan) -> Bool) throws(StreamFault) -> StreamResult {
        reporter.enter(.preflight, disk: .untouched)
        let preflight = try RegionPreflight(
            source, onto: regions, access: options.isDryRun ? .readOnly : .readWrite, options, reporter)
        let reuse = try ReusePlan(
            preflight.contents, of: Set(preflight.targets.map(\.row.partition.number)),
            onto: preflight.targets.map(\.target.path), from: source, options, reporter)
        var notes = preflight.notes
        let queue = try HostQueue.open(preflight.targets.map(\.fileDescriptor), engine: options.writeEngine) { error in
            notes.append(.noUring(error, writes: true))
        }
        let plan = StreamPlan(
            image: preflight.contents, isHashCompared: options.hash != .ignored, onto: preflight.targets,
            engineName: queue.engineName, notes: notes)
        reporter.present(plan)
        if options.isDryRun || !approve(plan) { return reporter.result(plan, isWritten: false) }

        let result = try write(queue, preflight, reuse, plan)
        try preflight.close()
        reporter.enter(.done, disk: .written)
        return result
    }

    private func write(
        _ queue: consuming HostQueue, _ preflight: RegionPreflight, _ reuse: ReusePlan, _ plan: StreamPlan
    ) throws(StreamFault) -> StreamResult {
        let options = options
        let fitting = try reuse.fitting(
            options, preflight.contents, largestBytes: preflight.targets.map(\.image.uncompressedSizeBytes).max()
        ) { $0.besideBytes(readsBack: options.readsBack, preflight.decodedBytes) }
        var writer = try DiskWriter(
            queue: queue, disk: preflight.geometry,
            options: .init(
                zerosByDevice: options.zerosByDevice, readsBack: options.readsBack, dropCache: preflight.dropCache,
                tickSeconds: options.progressIntervalSeconds))
        let jobs = preflight.jobs(from: source, fitting.reuse, engine: options.writeEngine)
        let pipeline = try Pipeline(jobs, from: source, plan: fitting.lanes, for: writer, transfer: transfer)
        let waitingBytes = pipeline.waitingBytes
        let expected = preflight.written
        let bytesToVerify = options.readsBack ? expected.totalBytes : 0
        if transfer.stop.isCancelled { throw .cancelled }
        try preflight.expectFileSizeAllowed()

        func report(_ activity: DiskActivity) {
            reporter.report(
                activity, of: plan, bytesToVerify: bytesToVerify, waitingBytes: waitingBytes(), earlyBytes: source.earlyBytes,
                feedSilenceSeconds: jobs.silenceSeconds)
        }
        reporter.enter(.write, disk: .uncertain)
        let written = try writer.write(regions: expected, from: pipeline, tick: report)
        report(writer.activity)
        for warning in jobs.warnings { reporter.warn(.image(warning)) }
        try writer.flush(
            written, stop: transfer.stop, willReadBack: { reporter.enter(.verify, disk: .uncertain) }, tick: report)
        try preflight.expectWhole()
        return reporter.result(plan, isWritten: true, verifiedBytes: writer.readBack?.comparedBytes ?? 0)
    }
}
