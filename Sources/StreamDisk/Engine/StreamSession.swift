import CosiFormat
import Glibc
import Synchronization

/// One run: from preflight to commit, or to the last byte compared.
struct StreamSession {
    enum Goal { case stream, compare }

    private let goal: Goal
    private let source: any ImageSource
    private let options: StreamOptions
    private let cancellation: Cancellation
    let run = RunState()
    private let begin = Instant.now
    private(set) var phase = StreamPhase.preflight
    /// What a failure now would leave on the disk.
    private(set) var disk: StreamError.DiskState

    init(_ goal: Goal, source: any ImageSource, options: StreamOptions, cancellation: Cancellation) {
        self.goal = goal
        self.source = source
        self.options = options
        self.cancellation = cancellation
        disk = goal == .compare ? .onlyRead : .untouched
    }

    mutating func run(
        target: StreamTarget, approve: (StreamPlan) -> Bool, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> StreamResult {
        let run = self.run
        return try cancellation.withHandler({ run.stop.cancel() }) { () throws(StreamFault) -> StreamResult in
            onEvent(.phase(.preflight))
            let contents = try Preflight(run).inspect(
                source, hash: options.hash, memoryLimitBytes: options.memoryLimitBytes, onEvent: onEvent)
            let notes = try checkArchitecture(contents, target: target) + checkTrust()
            let target = try open(target, for: contents)
            let placement = try valid { () throws(FormatError) in
                try contents.gpt.placement(onDeviceOf: target.sizeBytes)
            }
            let result = try chooseEngine(
                contents, target, placement, notes: notes, approve: approve, onEvent: onEvent)
            let arrival = PartitionArrival(on: target, contents.gpt)
            do throws(DeviceError) { try target.close() } catch { throw .device(error) }
            if result.isWritten, let missing = arrival?.wait() { onEvent(.warning("\(result.plan.diskPath): \(missing)")) }
            if result.isWritten || goal == .compare { enter(.done, disk: .untouched, onEvent) }
            return result
        }
    }

    // MARK: Preflight

    /// An image for another machine is refused where the disk would be chosen by itself.
    private func checkArchitecture(
        _ contents: ImageContents, target: StreamTarget
    ) throws(StreamFault) -> [String] {
        let host = hostArchitecture()
        let image = contents.metadata.osArch
        if host == image || goal == .compare { return [] }
        let difference = "is for \(image), this host is \(host?.description ?? "of another kind")"
        if case .smallestDisk = target {
            throw .image("metadata.json: osArch", difference + "; name the disk (--disk) to prepare it for another machine")
        }
        return ["the image \(difference): it will not boot here"]
    }

    /// Without TLS only the hash tells the image that is meant from what someone on the way made of it.
    private func checkTrust() -> [String] {
        guard source.isUnprotected, options.hash == .ignored else { return [] }
        return [
            "the image comes over http and its hash was not given (--hash): whoever is on the way can put another in its place"
        ]
    }

    private func open(_ target: StreamTarget, for contents: ImageContents) throws(StreamFault) -> TargetDisk {
        let access: TargetDisk.Access =
            switch goal {
            case .stream: options.isDryRun ? .readOnly : .readWrite
            case .compare: .compare
            }
        // To compare a disk with itself harms nobody.
        let origin = goal == .stream ? source.localOrigin : nil
        let requirement = contents.requirement
        do throws(DiskError) {
            return switch target {
            case .smallestDisk: try TargetDisk.openSmallest(requirement: requirement, access: access, source: origin)
            case .path(let path): try TargetDisk.open(path: path, requirement: requirement, access: access, source: origin)
            }
        } catch {
            throw .disk(error)
        }
    }

    private mutating func chooseEngine(
        _ contents: ImageContents, _ target: borrowing TargetDisk, _ placement: GPT.Placement, notes: [String],
        approve: (StreamPlan) -> Bool, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> StreamResult {
        let descriptor = target.fileDescriptor
        var notes = notes + target.notes
        if options.writeEngine != .pwrite, let ring = try makeRing(descriptor, notes: &notes) {
            return try execute(ring, contents, target, placement, notes: notes, approve: approve, onEvent: onEvent)
        }
        let queue: PwriteQueue
        do throws(SystemError) {
            queue = try PwriteQueue(fileDescriptor: descriptor, capacity: Self.queueDepth)
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        return try execute(queue, contents, target, placement, notes: notes, approve: approve, onEvent: onEvent)
    }

    private func makeRing(_ descriptor: Int32, notes: inout [String]) throws(StreamFault) -> UringQueue? {
        do throws(SystemError) {
            return try UringQueue(fileDescriptor: descriptor, capacity: Self.queueDepth)
        } catch {
            if options.writeEngine == .uring { throw .host(operation: "set up io_uring", cause: error) }
            notes.append("io_uring is refused here (\(error)): \(goal == .stream ? "writing with pwrite" : "reading with pread")")
            return nil
        }
    }

    // MARK: The work

    /// What a run has at hand once it may begin.
    struct Work {
        let plan: StreamPlan
        let placement: GPT.Placement
        let areas: WriteAreas
        let jobs: any JobFeed
        let lanes: LanePool
        let fetchers: Int
        /// Bytes of the disk that are to be read and compared.
        let bytesToVerify: UInt64
    }

    private var check: DiskCheck {
        switch goal {
        case .stream: options.readsBack ? .whatWasWritten : .nothing
        case .compare: .insteadOfWriting
        }
    }

    private mutating func execute<Queue: DiskQueue & ~Copyable>(
        _ queue: consuming Queue, _ contents: ImageContents, _ target: borrowing TargetDisk, _ placement: GPT.Placement,
        notes: [String], approve: (StreamPlan) -> Bool, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> StreamResult {
        let plan = StreamPlan(
            image: contents, isHashCompared: options.hash != .ignored, disk: target,
            contents: goal == .stream ? target.contents() : nil, engineName: queue.engineName, notes: notes)
        onEvent(.plan(plan))
        for warning in plan.warnings { onEvent(.warning(warning)) }
        if goal == .stream, options.isDryRun || !approve(plan) { return result(plan, isWritten: false) }

        let lanePlan = try lanePlan(contents)
        let geometry = DiskGeometry(
            path: target.path, sizeBytes: target.sizeBytes, blockBytes: target.logicalBlockSize)
        var writer = try DiskWriter(queue: queue, disk: geometry, check: check)
        writer.tickSeconds = options.progressIntervalSeconds
        writer.dropCache = target.dropCache
        if !options.zerosByDevice { writer.zeroRung = ZeroMethod.allCases.count }
        let lanes = try LanePool(
            count: lanePlan.lanes, limits: lanePlan.limits, run: run)
        defer { run.threads.dismiss() }
        do throws(SystemError) {
            try run.threads.add(lanePlan.threadCount)
        } catch {
            throw .host(operation: "start the \(lanePlan.threadCount) threads of a run", cause: error)
        }
        let jobs: any JobFeed =
            if let pending = contents.pending {
                SequentialJobs(pending, source: source, fileSizeBytes: contents.fileSizeBytes)
            } else {
                ListedJobs(contents.images.map { ImageJob($0) })
            }
        let areas = WriteAreas(
            contents, tables: placement, diskBytes: target.sizeBytes, blockBytes: target.logicalBlockSize)
        let bytesToVerify: UInt64 =
            switch check {
            case .nothing: 0
            case .whatWasWritten: areas.written.totalBytes
            case .insteadOfWriting: areas.imageAccount.totalBytes
            }
        let work = Work(
            plan: plan, placement: placement, areas: areas, jobs: jobs, lanes: lanes,
            fetchers: contents.isSequential ? 1 : lanes.lanes.count, bytesToVerify: bytesToVerify)
        if run.stop.isCancelled { throw .cancelled }
        do throws(StreamFault) {
            switch goal {
            case .stream: try write(work, with: &writer, onto: target, onEvent)
            case .compare: try compare(work, with: &writer, on: target, onEvent)
            }
        } catch {
            if case .mismatch(let mismatch) = error { throw .mismatch(mismatch.located(in: plan)) }
            throw error
        }
        return result(plan, isWritten: goal == .stream, verifiedBytes: writer.comparedBytes)
    }

    /// What is compared with needs memory beside the lanes.
    private func lanePlan(_ contents: ImageContents) throws(StreamFault) -> LanePlan {
        let beside: UInt64 =
            switch check {
            case .nothing: 0
            case .whatWasWritten: DiskComparison.memoryBytesMax(keptBytes: contents.uncompressedBytes)
            case .insteadOfWriting: DiskComparison.memoryBytesMax(keptBytes: 0)
            }
        return try LanePlan(
            contents, limits: MemoryLimits(askedBytes: options.memoryLimitBytes), besideBytes: beside,
            lanesMax: options.lanesMax)
    }

    /// The order of writes (docs/SAFETY.md).
    private mutating func write<Queue: DiskQueue & ~Copyable>(
        _ work: Work, with writer: inout DiskWriter<Queue>, onto target: borrowing TargetDisk,
        _ onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) {
        let plan = work.plan
        var silence = SilenceWatch()
        do throws(DiskError) {
            if let note = try target.forgetPartitions() { onEvent(.warning(note)) }
        } catch {
            throw .disk(error)
        }
        enter(.invalidate, disk: .uncertain, onEvent)
        let invalidated = try writer.invalidate(work.placement, gaps: work.areas.gaps) { writer in
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        enter(.write, disk: .withoutTable, onEvent)
        let written = try writer.write(
            invalidated, work.areas, jobs: work.jobs, from: source, lanes: work.lanes, fetchers: work.fetchers, run: run
        ) { writer in
            report(work, writer, onEvent)
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        report(work, writer, onEvent)
        reportWarnings(work, onEvent)
        let verified = try writer.flush(
            written, stop: run.stop,
            willReadBack: { enter(.verify, disk: .withoutTable, onEvent) }
        ) { writer in
            report(work, writer, onEvent)
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        if run.stop.isCancelled { throw .cancelled }
        // From here on a cancellation comes too late: all data are on the disk, and the tables take milliseconds.
        enter(.commit, disk: .uncertain, onEvent)
        try writer.commit(verified, work.placement) { writer in
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }

        switch target.rereadPartitionTable() {
        case .done, .notABlockDevice: break
        case .unsupported(let error), .refused(let error):
            onEvent(.warning("the kernel did not read the new partition table of \(target.path) again (\(error)); "
                + "it will when the disk is attached the next time, or at the next boot"))
        }
    }

    /// Reads everything the image has to say of the disk, and compares. What differs is named by its place, so all of it is
    /// looked at before the run says no.
    private mutating func compare<Queue: DiskQueue & ~Copyable>(
        _ work: Work, with writer: inout DiskWriter<Queue>, on target: borrowing TargetDisk,
        _ onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) {
        let path = work.plan.diskPath
        var silence = SilenceWatch()
        writer.dropCache()
        enter(.verify, disk: .onlyRead, onEvent)
        var found: [(area: DiskMismatch.Area?, range: Range<UInt64>)] = []
        for part in work.placement.parts {
            do throws(DeviceError) {
                let range = try writer.difference(from: part.bytes, at: part.offset) { writer in
                    silence.check(writer.silenceSeconds, path: path, onEvent)
                }
                guard let range else { continue }
                found.append((part.area, range))
            } catch {
                throw .device(error)
            }
            onEvent(.warning("\(path): \(part.area) is not the image's; comparing the rest"))
        }
        try writer.stream(
            jobs: work.jobs, from: source, lanes: work.lanes, fetchers: work.fetchers, run: run
        ) { writer in
            report(work, writer, onEvent)
            silence.check(writer.silenceSeconds, path: path, onEvent)
        }
        report(work, writer, onEvent)
        reportWarnings(work, onEvent)
        try writer.requireAll(of: work.areas.imageAccount)
        precondition(writer.comparedBytes == work.bytesToVerify, "a yes over bytes that were not compared")
        let count = found.count + writer.differenceCount
        if let range = writer.firstDifference { found.append((nil, range)) }
        if let first = found.min(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            throw .mismatch(DiskMismatch(.image, path: path, area: first.area, range: first.range, count: count))
        }
    }

    private mutating func enter(
        _ phase: StreamPhase, disk: StreamError.DiskState, _ onEvent: (StreamEvent) -> Void
    ) {
        self.phase = phase
        self.disk = disk
        onEvent(.phase(phase))
    }

    private func result(_ plan: StreamPlan, isWritten: Bool, verifiedBytes: UInt64 = 0) -> StreamResult {
        let counters = run.counters
        return StreamResult(
            plan: plan, isWritten: isWritten, elapsedSeconds: Instant.now.seconds(since: begin),
            fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed),
            decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
            writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
            zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed), verifiedBytes: verifiedBytes,
            peakMemoryBytes: peakMemoryBytes(), stages: counters.reports)
    }

    private func report<Queue: DiskQueue & ~Copyable>(
        _ work: Work, _ writer: borrowing DiskWriter<Queue>, _ onEvent: (StreamEvent) -> Void
    ) {
        reportNotes(onEvent)
        let counters = run.counters
        let partitions = run.fetchingOffsets.compactMap { offset in
            work.plan.partitions.first { $0.offsetBytes == offset }?.number
        }
        onEvent(
            .progress(
                StreamProgress(
                    phase: phase, elapsedSeconds: Instant.now.seconds(since: begin),
                    fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed),
                    decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
                    writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
                    zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed),
                    verifiedBytes: writer.comparedBytes, verifiedBytesTotal: work.bytesToVerify,
                    compressedBytesTotal: work.plan.compressedBytes,
                    uncompressedBytesTotal: work.plan.uncompressedBytes, partitions: partitions,
                    waitingBytes: work.lanes.waitingBytes,
                    bytesInFlight: writer.bytesInFlight)))
    }

    /// What only the end of a one-pass image has shown.
    private func reportWarnings(_ work: Work, _ onEvent: (StreamEvent) -> Void) {
        for warning in work.jobs.warnings { onEvent(.warning(warning.description)) }
    }

    private func reportNotes(_ onEvent: (StreamEvent) -> Void) {
        for note in run.takeNotes() { onEvent(.retry(note)) }
    }

    /// Requests in the queue at once; their bytes have a bound of their own.
    private static let queueDepth = 64
}

/// Turns a disk's silence into warnings: never a hang without a message.
private struct SilenceWatch {
    private static let warningSeconds = 10.0
    private var warned = 0.0

    mutating func check(_ seconds: Double, path: String, _ onEvent: (StreamEvent) -> Void) {
        if seconds < warned { warned = 0 }
        guard seconds >= warned + Self.warningSeconds else { return }
        warned = seconds
        onEvent(.warning("\(path) has not answered for \(Int(seconds)) seconds; still waiting"))
    }
}
