import CosiFormat
import Glibc
import Synchronization

/// One run from preflight to commit.
struct StreamSession {
    private let source: any ImageSource
    private let options: StreamOptions
    private let cancellation: Cancellation
    private let run = RunState()
    private let begin = Instant.now
    private(set) var phase = StreamPhase.preflight
    /// What a failure now would leave on the disk.
    private(set) var disk = StreamError.DiskState.untouched

    init(source: any ImageSource, options: StreamOptions, cancellation: Cancellation) {
        self.source = source
        self.options = options
        self.cancellation = cancellation
    }

    mutating func run(
        target: StreamTarget, approve: (StreamPlan) -> Bool, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> StreamResult {
        let run = self.run
        return try cancellation.withHandler({ run.stop.cancel() }) { () throws(StreamFault) -> StreamResult in
            onEvent(.phase(.preflight))
            let contents: ImageContents
            do throws(StreamFault) {
                contents = try inspectImage(source, hash: options.hash, observer: run.observer)
            } catch {
                reportNotes(onEvent)
                throw error
            }
            reportNotes(onEvent)
            let notes = try checkArchitecture(contents, target: target)
            let target = try open(target, for: contents)
            let placement = try valid { () throws(FormatError) in
                try contents.gpt.placement(onDeviceOf: target.sizeBytes)
            }
            let result = try chooseEngine(
                contents, target, placement, notes: notes, approve: approve, onEvent: onEvent)
            do throws(DeviceError) { try target.close() } catch { throw .device(error) }
            if result.isWritten { enter(.done, disk: .untouched, onEvent) }
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
        if host == image { return [] }
        let difference = "is for \(image), this host is \(host?.description ?? "of another kind")"
        if case .smallestDisk = target {
            throw .image("metadata.json: osArch", difference + "; name the disk (--disk) to prepare it for another machine")
        }
        return ["the image \(difference): it will not boot here"]
    }

    private func open(_ target: StreamTarget, for contents: ImageContents) throws(StreamFault) -> TargetDisk {
        let access: TargetDisk.Access = options.isDryRun ? .readOnly : .readWrite
        do throws(DiskError) {
            return switch target {
            case .smallestDisk: try TargetDisk.openSmallest(requirement: contents.requirement, access: access)
            case .path(let path): try TargetDisk.open(path: path, requirement: contents.requirement, access: access)
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
            notes.append("io_uring is refused here (\(error)): writing with pwrite")
            return nil
        }
    }

    // MARK: The order of writes

    private mutating func execute<Queue: DiskQueue & ~Copyable>(
        _ queue: consuming Queue, _ contents: ImageContents, _ target: borrowing TargetDisk, _ placement: GPT.Placement,
        notes: [String], approve: (StreamPlan) -> Bool, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> StreamResult {
        let plan = StreamPlan(contents: contents, disk: target, engineName: queue.engineName, notes: notes)
        onEvent(.plan(plan))
        for warning in plan.warnings { onEvent(.warning(warning)) }
        if options.isDryRun || !approve(plan) { return result(plan, isWritten: false) }

        let lanePlan = try LanePlan(
            contents, memoryLimitBytes: options.memoryLimitBytes ?? defaultMemoryLimitBytes(),
            lanesMax: options.lanesMax)
        let geometry = DiskGeometry(
            path: target.path, sizeBytes: target.sizeBytes, blockBytes: target.logicalBlockSize)
        var writer = try DiskWriter(queue: queue, disk: geometry)
        writer.tickSeconds = options.progressIntervalSeconds
        if !options.zerosByDevice { writer.zeroRung = ZeroMethod.allCases.count }
        let lanes = try LanePool(
            count: lanePlan.lanes, limits: lanePlan.limits,
            imageBytes: contents.partitionRegions.map(\.image.uncompressedSizeBytes), run: run)
        let jobs: any JobFeed =
            if let pending = contents.pending {
                SequentialJobs(pending, source: source, fileSizeBytes: contents.fileSizeBytes)
            } else {
                ListedJobs(contents.images.map { ImageJob($0) })
            }
        if run.stop.isCancelled { throw .cancelled }

        var silence = SilenceWatch()
        enter(.invalidate, disk: .uncertain, onEvent)
        let invalidated = try writer.invalidate(placement) { writer in
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        enter(.write, disk: .withoutTable, onEvent)
        let written = try writer.write(
            invalidated, jobs: jobs, from: source, lanes: lanes, fetchers: contents.isSequential ? 1 : lanes.lanes.count,
            run: run
        ) { writer in
            report(plan, waitingBytes: lanes.waitingBytes, bytesInFlight: writer.bytesInFlight, onEvent)
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        report(plan, onEvent)
        let verified = try writer.flush(written) { writer in
            report(plan, onEvent)
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }
        if run.stop.isCancelled { throw .cancelled }
        // From here on a cancellation comes too late: all data are on the disk, and the tables take milliseconds.
        enter(.commit, disk: .uncertain, onEvent)
        try writer.commit(verified, placement) { writer in
            silence.check(writer.silenceSeconds, path: plan.diskPath, onEvent)
        }

        switch target.rereadPartitionTable() {
        case .done, .notABlockDevice: break
        case .unsupported(let error), .refused(let error):
            onEvent(.warning("the kernel did not read the new partition table of \(target.path) again (\(error)); "
                + "it will when the disk is attached the next time, or at the next boot"))
        }
        return result(plan, isWritten: true)
    }

    private mutating func enter(
        _ phase: StreamPhase, disk: StreamError.DiskState, _ onEvent: (StreamEvent) -> Void
    ) {
        self.phase = phase
        self.disk = disk
        onEvent(.phase(phase))
    }

    private func result(_ plan: StreamPlan, isWritten: Bool) -> StreamResult {
        let counters = run.counters
        return StreamResult(
            plan: plan, isWritten: isWritten, elapsedSeconds: Instant.now.seconds(since: begin),
            fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed),
            decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
            writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
            zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed), peakMemoryBytes: peakMemoryBytes(),
            stages: counters.reports)
    }

    private func report(
        _ plan: StreamPlan, waitingBytes: Int = 0, bytesInFlight: Int = 0, _ onEvent: (StreamEvent) -> Void
    ) {
        reportNotes(onEvent)
        let counters = run.counters
        onEvent(
            .progress(
                StreamProgress(
                    phase: phase, elapsedSeconds: Instant.now.seconds(since: begin),
                    fetchedBytes: counters.fetchedBytes.load(ordering: .relaxed),
                    decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
                    writtenBytes: counters.writtenBytes.load(ordering: .relaxed),
                    zeroedBytes: counters.zeroedBytes.load(ordering: .relaxed),
                    compressedBytesTotal: plan.compressedBytes, uncompressedBytesTotal: plan.uncompressedBytes,
                    waitingBytes: waitingBytes, bytesInFlight: bytesInFlight)))
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
