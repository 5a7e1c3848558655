import CosiFormat

/// Compares a disk with an image without writing: the same pipeline, with the comparer as its consumer.
struct VerifySession {
    let source: any ByteSource
    let options: StreamOptions
    let reporter: ProgressReporter

    func run(onto path: String) throws(StreamFault) -> StreamResult {
        reporter.enter(.preflight, disk: .onlyRead)
        let preflight = try Preflight(source, onto: .path(path), access: .compare, options, reporter)
        let reuse = try ReusePlan(preflight.contents, onto: [], from: source, samples: false, options, reporter)
        var notes = preflight.notes
        let queue = try HostQueue.open([preflight.target.fileDescriptor], engine: options.writeEngine) { error in
            notes.append(.noUring(error, writes: false))
        }
        let plan = StreamPlan(
            image: preflight.contents, isHashCompared: options.hash != .ignored, disk: preflight.target, contents: nil,
            engineName: queue.engineName, notes: notes)
        reporter.present(plan)
        let verified = try compare(queue, preflight, reuse, plan)
        try preflight.close()
        reporter.enter(.done, disk: .onlyRead)
        return verified
    }

    /// Compares everything that the image covers. The difference with the lowest offset is reported, so everything is compared
    /// before this throws.
    private func compare(
        _ queue: consuming HostQueue, _ preflight: borrowing Preflight, _ reuse: ReusePlan, _ plan: StreamPlan
    ) throws(StreamFault) -> StreamResult {
        let transfer = reporter.transfer
        let fitting = try reuse.fitting(options, preflight.contents) { ReadChunks.totalBytes + $0.memoryBytes }
        var comparer = try DiskComparer(
            queue: queue, disk: preflight.geometry, tickSeconds: options.progressIntervalSeconds)
        let jobs = preflight.jobs(from: source, fitting.reuse, engine: options.writeEngine)
        let pipeline = try Pipeline(jobs, from: source, plan: fitting.lanes, for: comparer, transfer: transfer)
        let waitingBytes = pipeline.waitingBytes
        let bytesToVerify = preflight.areas.imageAccount.totalBytes
        if transfer.stop.isCancelled { throw .cancelled }

        func report(_ activity: DiskActivity) {
            reporter.report(
                activity, of: plan, bytesToVerify: bytesToVerify, waitingBytes: waitingBytes(),
                earlyBytes: source.earlyBytes,
                feedSilenceSeconds: jobs.silenceSeconds)
        }
        preflight.target.dropCache()
        reporter.enter(.verify, disk: .onlyRead)
        var found: [(area: DiskMismatch.Area?, range: Range<UInt64>)] = []
        for part in preflight.placement.parts {
            let range = try comparer.requests.difference(from: part.bytes, at: part.offset) { activity in
                reporter.watch(activity, of: plan)
            }
            guard let range else { continue }
            found.append((part.area, range))
            reporter.warn(.differs(path: plan.diskPath, area: part.area))
        }
        try pipeline.run(into: &comparer, tick: report)
        report(comparer.activity)
        for warning in jobs.warnings { reporter.warn(.image(warning)) }
        try comparer.requireAll(of: preflight.areas.imageAccount)
        precondition(comparer.comparedBytes == bytesToVerify, "a yes over bytes that were not compared")
        let count = found.count + comparer.differenceCount
        if let range = comparer.firstDifference { found.append((nil, range)) }
        if let first = found.min(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            throw .mismatch(DiskMismatch(.image, path: plan.diskPath, area: first.area, range: first.range, count: count))
        }
        return reporter.result(plan, isWritten: false, verifiedBytes: comparer.comparedBytes)
    }
}
