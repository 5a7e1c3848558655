import Synchronization

/// The writer by itself, by default as a run uses it: synthetic bytes from a slot ring onto a disk, no source and no decoder.
/// For measuring; the disk's first bytes are lost.
package struct WriteProbe: Sendable {
    package var totalBytes: UInt64 = 1 << 30
    package var writeBytes = LanePlan.slotBytes
    package var inFlightBytes = LanePlan.inFlightBytes
    /// False: `PwriteQueue`.
    package var usesUring = true
    package var uring = UringSettings()

    package init() {}

    package struct Outcome: Sendable {
        /// From the first piece to the last completion.
        package let seconds: Double
        package let flushSeconds: Double
        package let stages: [StageReport]
    }

    /// - Parameter onProgress: several times a second, on the calling thread.
    package func run(disk path: String, onProgress: (ProbeProgress) -> Void) throws(StreamFault) -> Outcome {
        precondition(writeBytes > 0 && writeBytes % SlotRing.alignmentBytes == 0)
        let disk = try opened(path)
        let capacity = max(64, inFlightBytes / writeBytes)
        let run = TransferState()
        // As many slots as a lane has beside its window, all filled and touched before the clock starts.
        let ring = try SlotRing(
            capacityBytes: inFlightBytes + 2 * writeBytes, slotBytes: writeBytes, counters: run.counters)
        var noise = SystemRandomNumberGenerator()
        let bytes = (0..<writeBytes / 8).map { _ in noise.next() }
        for slot in 0..<ring.capacityBytes / writeBytes {
            ring.buffer.copy(unsafe bytes.span.bytes, to: slot * writeBytes)
        }
        let queue: HostQueue
        do throws(SystemError) {
            queue = usesUring
                ? HostQueue(
                    uring: try UringQueue(fileDescriptor: disk.fileDescriptor, capacity: capacity, settings: uring))
                : HostQueue(pwrite: try PwriteQueue(fileDescriptor: disk.fileDescriptor, capacity: capacity))
        } catch {
            throw .host(operation: "set up the writer", cause: error)
        }
        return try write(queue, disk, from: ring, run, onProgress)
    }

    private func opened(_ path: String) throws(StreamFault) -> TargetDisk {
        let block = HostDisks().list().first { $0.path == path }?.logicalBlockSize ?? 512
        let requirement = DiskRequirement(sizeBytes: totalBytes, logicalBlockSize: block)
        do throws(DiskSelectionError) {
            return try TargetDisk.open(path: path, requirement: requirement, access: .readWrite)
        } catch {
            throw .disk(error)
        }
    }

    private func write(
        _ queue: consuming HostQueue, _ disk: borrowing TargetDisk, from ring: SlotRing, _ run: TransferState,
        _ onProgress: (ProbeProgress) -> Void
    ) throws(StreamFault) -> Outcome {
        var writer = try DiskWriter(
            queue: queue,
            disk: DiskGeometry(path: disk.path, sizeBytes: disk.sizeBytes, blockBytes: disk.logicalBlockSize),
            options: .init(bytesInFlightMax: inFlightBytes, tickSeconds: 0.02))
        let extents = ExtentQueue(waker: writer.waker)
        let begin = Instant.now
        var feeder = ThreadList()
        do throws(SystemError) {
            try feeder.append(WorkerThread(name: "sd-feed") { run.counters.decode.measure { feed(ring, extents, run) } })
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        run.stop.withHandler({ ring.stop() }) {
            run.counters.write.measure {
                writer.drain(extents, run) { activity in
                    onProgress(ProbeProgress(since: begin, counters: run.counters, bytesInFlight: activity.bytesInFlight))
                }
            }
            feeder.joinAll()
        }
        let seconds = Instant.now.seconds(since: begin)
        if let failure = run.failure { throw failure }
        try writer.requests.flush(tick: { _ in })
        return Outcome(
            seconds: seconds, flushSeconds: Instant.now.seconds(since: begin) - seconds,
            stages: run.counters.reports.filter { $0.stage == .write })
    }

    /// Hands over slot after slot, as a decoder that takes no time.
    private func feed(_ ring: SlotRing, _ queue: ExtentQueue, _ run: TransferState) {
        var offset: UInt64 = 0
        var slot = 0
        while offset < totalBytes {
            guard (try? ring.waitUntilFree(slot: slot)) != nil else { break }
            let count = Int(min(UInt64(writeBytes), totalBytes - offset))
            ring.retain(slot: slot)
            queue.push(
                DecodedExtent(memory: (ring, slot, slot * writeBytes), lengthBytes: count, deviceOffset: offset))
            run.counters.decodedBytes.wrappingAdd(UInt64(count), ordering: .relaxed)
            offset += UInt64(count)
            slot = (slot + 1) % (ring.capacityBytes / writeBytes)
        }
        queue.close()
    }
}

/// How far a probe is.
package struct ProbeProgress: Sendable {
    package let elapsedSeconds: Double
    package let fetchedBytes: UInt64
    package let decodedBytes: UInt64
    package let writtenBytes: UInt64
    package let bytesInFlight: Int

    init(since begin: Instant, counters: TransferCounters, bytesInFlight: Int) {
        elapsedSeconds = Instant.now.seconds(since: begin)
        fetchedBytes = counters.fetchedBytes.load(ordering: .relaxed)
        decodedBytes = counters.decodedBytes.load(ordering: .relaxed)
        writtenBytes = counters.writtenBytes.load(ordering: .relaxed)
        self.bytesInFlight = bytesInFlight
    }
}
