import CosiFormat

/// Streams an image onto a disk: preflight, then a pipeline between `invalidate` and `commit` (docs/SAFETY.md).
struct StreamSession {
    let source: any ByteSource
    let options: StreamOptions
    let reporter: ProgressReporter

    private var transfer: TransferState { reporter.transfer }

    func run(onto target: StreamTarget, approve: (StreamPlan) -> Bool) throws(StreamFault) -> StreamResult {
        reporter.enter(.preflight, disk: .untouched)
        let preflight = try Preflight(
            source, onto: target, access: options.isDryRun ? .readOnly : .readWrite, options, reporter)
        let reuse = try ReusePlan(preflight.contents, onto: [preflight.target.path], from: source, options, reporter)
        var notes = preflight.notes
        let queue = try HostQueue.open([preflight.target.fileDescriptor], engine: options.writeEngine) { error in
            notes.append(.noUring(error, writes: true))
        }
        let plan = StreamPlan(
            image: preflight.contents, isHashCompared: options.hash != .ignored, disk: preflight.target,
            contents: preflight.target.contents(), engineName: queue.engineName, notes: notes)
        reporter.present(plan)
        if options.isDryRun || !approve(plan) { return reporter.result(plan, isWritten: false) }

        let result = try write(queue, preflight, reuse, plan)
        let arrival = PartitionArrival(on: preflight.target, preflight.contents.gpt)
        try preflight.close()
        if let missing = arrival?.wait() { reporter.warn(.disk("\(plan.diskPath): \(missing)")) }
        reporter.enter(.done, disk: .written)
        return result
    }

    /// The order of writes.
    private func write(
        _ queue: consuming HostQueue, _ preflight: borrowing Preflight, _ reuse: ReusePlan, _ plan: StreamPlan
    ) throws(StreamFault) -> StreamResult {
        let (options, contents) = (options, preflight.contents)
        let fitting = try reuse.fitting(options, contents) {
            $0.besideBytes(readsBack: options.readsBack, contents.decodedBytes)
        }
        var writer = try DiskWriter(
            queue: queue, disk: preflight.geometry,
            options: .init(
                zerosByDevice: options.zerosByDevice, readsBack: options.readsBack, dropCache: preflight.target.dropCache,
                tickSeconds: options.progressIntervalSeconds))
        let jobs = preflight.jobs(from: source, fitting.reuse, engine: options.writeEngine)
        let pipeline = try Pipeline(jobs, from: source, plan: fitting.lanes, for: writer, transfer: transfer)
        let waitingBytes = pipeline.waitingBytes
        let bytesToVerify = options.readsBack ? preflight.areas.written.totalBytes : 0
        if transfer.stop.isCancelled { throw .cancelled }
        try preflight.expectFileSizeAllowed()

        func watch(_ activity: DiskActivity) { reporter.watch(activity, of: plan) }
        func report(_ activity: DiskActivity) {
            reporter.report(
                activity, of: plan, bytesToVerify: bytesToVerify, waitingBytes: waitingBytes(),
                earlyBytes: source.earlyBytes,
                feedSilenceSeconds: jobs.silenceSeconds)
        }
        do throws(DiskSelectionError) {
            if let note = try preflight.target.forgetPartitions() { reporter.warn(.disk(note)) }
        } catch {
            throw .disk(error)
        }
        reporter.enter(.invalidate, disk: .uncertain)
        let invalidated = try writer.invalidate(preflight.placement, gaps: preflight.areas.gaps, tick: watch)
        reporter.enter(.write, disk: .withoutTable)
        let written = try writer.write(invalidated, preflight.areas, from: pipeline, tick: report)
        report(writer.activity)
        for warning in jobs.warnings { reporter.warn(.image(warning)) }
        let verified = try writer.flush(
            written, stop: transfer.stop, willReadBack: { reporter.enter(.verify, disk: .withoutTable) }, tick: report)
        if transfer.stop.isCancelled { throw .cancelled }
        do throws(DiskIOError) { try preflight.target.expectWhole() } catch { throw .device(error) }
        // From here on cancellation has no effect: all data are on the disk, and the tables take milliseconds.
        reporter.enter(.commit, disk: .uncertain)
        try writer.commit(verified, preflight.placement, tick: watch)

        switch preflight.target.rereadPartitionTable() {
        case .done, .notABlockDevice: break
        case .unsupported(let error), .refused(let error):
            reporter.warn(.tableNotRead(path: plan.diskPath, cause: error))
        }
        return reporter.result(plan, isWritten: true, verifiedBytes: writer.readBack?.comparedBytes ?? 0)
    }
}
