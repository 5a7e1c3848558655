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
    /// With io_uring: the memory is registered, which a run does not do.
    package var registersBuffers = false

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
        let run = RunState()
        // As many slots as a lane has beside its window, all filled and touched before the clock starts.
        let ring = try SlotRing(
            capacityBytes: inFlightBytes + 2 * writeBytes, slotBytes: writeBytes, counters: run.counters)
        var noise = SystemRandomNumberGenerator()
        let bytes = (0..<writeBytes / 8).map { _ in noise.next() }
        for slot in 0..<ring.capacityBytes / writeBytes {
            ring.buffer.copy(unsafe bytes.span.bytes, to: slot * writeBytes)
        }
        if usesUring {
            var queue = try made { () throws(SystemError) in
                try UringQueue(fileDescriptor: disk.fileDescriptor, capacity: capacity, settings: uring)
            }
            if registersBuffers { queue.register([ring.buffer]) }
            return try write(queue, disk, from: ring, run, onProgress)
        }
        let queue = try made { () throws(SystemError) in
            try PwriteQueue(fileDescriptor: disk.fileDescriptor, capacity: capacity)
        }
        return try write(queue, disk, from: ring, run, onProgress)
    }

    private func opened(_ path: String) throws(StreamFault) -> TargetDisk {
        let block = HostDisks().list().first { $0.path == path }?.logicalBlockSize ?? 512
        let requirement = DiskRequirement(sizeBytes: totalBytes, logicalBlockSize: block)
        do throws(DiskError) {
            return try TargetDisk.open(path: path, requirement: requirement, access: .readWrite)
        } catch {
            throw .disk(error)
        }
    }

    private func made<Queue: ~Copyable>(_ make: () throws(SystemError) -> Queue) throws(StreamFault) -> Queue {
        do throws(SystemError) { return try make() } catch { throw .host(operation: "set up the writer", cause: error) }
    }

    private func write<Queue: DiskQueue & ~Copyable>(
        _ queue: consuming Queue, _ disk: borrowing TargetDisk, from ring: SlotRing, _ run: RunState,
        _ onProgress: (ProbeProgress) -> Void
    ) throws(StreamFault) -> Outcome {
        var writer = try DiskWriter(
            queue: queue,
            disk: DiskGeometry(path: disk.path, sizeBytes: disk.sizeBytes, blockBytes: disk.logicalBlockSize))
        writer.bytesInFlightMax = inFlightBytes
        writer.tickSeconds = 0.02
        let waker = writer.waker
        let inbox = WriteInbox(lanes: 1, waker: waker)
        let begin = Instant.now
        var feeder = ThreadList()
        do throws(SystemError) {
            try feeder.append(WorkerThread(name: "sd-feed") { run.counters.decode.measure { feed(ring, inbox, run) } })
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        run.stop.withHandler({ ring.stop() }) {
            run.counters.write.measure {
                writer.drain(inbox, run: run) { writer in
                    onProgress(ProbeProgress(since: begin, counters: run.counters, bytesInFlight: writer.bytesInFlight))
                }
            }
            feeder.joinAll()
        }
        let seconds = Instant.now.seconds(since: begin)
        if let failure = run.failure { throw failure }
        do throws(DeviceError) { try writer.flush() } catch { throw .device(error) }
        return Outcome(
            seconds: seconds, flushSeconds: Instant.now.seconds(since: begin) - seconds,
            stages: run.counters.reports.filter { $0.stage == .write })
    }

    /// Hands over slot after slot, as a decoder that takes no time.
    private func feed(_ ring: SlotRing, _ inbox: WriteInbox, _ run: RunState) {
        var offset: UInt64 = 0
        var slot = 0
        while offset < totalBytes {
            guard (try? ring.waitUntilFree(slot: slot)) != nil else { break }
            let count = Int(min(UInt64(writeBytes), totalBytes - offset))
            ring.writeStarted(slot: slot)
            inbox.push(
                SlotWrite(memory: (ring, slot, slot * writeBytes), lengthBytes: count, deviceOffset: offset))
            run.counters.decodedBytes.wrappingAdd(UInt64(count), ordering: .relaxed)
            offset += UInt64(count)
            slot = (slot + 1) % (ring.capacityBytes / writeBytes)
        }
        inbox.laneEnded()
    }
}

/// How far a probe is.
package struct ProbeProgress: Sendable {
    package let elapsedSeconds: Double
    package let fetchedBytes: UInt64
    package let decodedBytes: UInt64
    package let writtenBytes: UInt64
    package let bytesInFlight: Int

    init(since begin: Instant, counters: Counters, bytesInFlight: Int) {
        elapsedSeconds = Instant.now.seconds(since: begin)
        fetchedBytes = counters.fetchedBytes.load(ordering: .relaxed)
        decodedBytes = counters.decodedBytes.load(ordering: .relaxed)
        writtenBytes = counters.writtenBytes.load(ordering: .relaxed)
        self.bytesInFlight = bytesInFlight
    }
}
