import Glibc
import StreamDisk

/// The writer alone, by default as a transfer uses it: synthetic bytes from a slot ring onto a disk, without source and decoder.
/// It overwrites the disk from its first byte.
struct WriteProbe {
    var totalBytes: UInt64 = 1 << 30
    var writeBytes = LanePlan.slotBytes
    var inFlightBytes = LanePlan.inFlightBytes
    var engine = ProbeEngine.deferred
    var registersFile = true

    struct Outcome {
        /// From the first extent to the last completion.
        let seconds: Double
        let flushSeconds: Double
        let stages: [StageReport]
    }

    /// - Parameter onSample: called several times a second, on the calling thread.
    func run(disk path: String, onSample: (Measurement.Sample) -> Void) throws -> Outcome {
        precondition(writeBytes > 0 && writeBytes % SlotRing.alignmentBytes == 0)
        let block = HostDisks().list().first { $0.path == path }?.blockBytes ?? 512
        let requirement = DiskRequirement(sizeBytes: totalBytes, blockBytes: block)
        let disk = try TargetDisk.open(path: path, requirement: requirement, access: .readWrite)
        let transfer = TransferState()
        // As many slots as a lane has beyond its window, all filled and touched before the clock starts.
        let ring = try SlotRing(
            capacityBytes: inFlightBytes + 2 * writeBytes, slotBytes: writeBytes, counters: transfer.counters)
        var noise = SystemRandomNumberGenerator()
        let bytes = (0..<writeBytes / 8).map { _ in noise.next() }
        for slot in 0..<ring.capacityBytes / writeBytes {
            ring.buffer.copy(unsafe bytes.span.bytes, to: slot * writeBytes)
        }
        let queue = try engine.queue(
            disk.fileDescriptor, capacity: max(64, inFlightBytes / writeBytes), registersFile: registersFile)
        var writer = try DiskWriter(
            queue: queue,
            disk: DiskGeometry(path: disk.path, sizeBytes: disk.sizeBytes, blockBytes: disk.blockBytes),
            options: .init(bytesInFlightMax: inFlightBytes, tickSeconds: 0.02))

        let extents = ExtentQueue(waker: writer.waker)
        let begin = Instant.now
        let feeder = try WorkerThread(name: "sd-feed") {
            transfer.counters.decode.measure { feed(ring, extents, transfer.counters) }
        }
        transfer.stop.withHandler({ ring.stop() }) {
            transfer.counters.write.measure {
                writer.drain(extents, transfer) { activity in
                    onSample(Measurement.Sample(since: begin, transfer.counters, bytesInFlight: activity.bytesInFlight))
                }
            }
        }
        feeder.join()
        let end = Instant.now
        if let failure = transfer.failure { throw failure }
        guard fsync(disk.fileDescriptor) == 0 else { throw BenchError("\(path) cannot be flushed") }
        return Outcome(
            seconds: end.seconds(since: begin), flushSeconds: Instant.now.seconds(since: end),
            stages: transfer.counters.reports.filter { $0.stage == .write })
    }

    /// Hands over slot after slot, like a decoder that takes no time.
    private func feed(_ ring: SlotRing, _ queue: ExtentQueue, _ counters: TransferCounters) {
        var offset: UInt64 = 0
        var slot = 0
        while offset < totalBytes {
            guard (try? ring.waitUntilFree(slot: slot)) != nil else { break }
            let count = Int(min(UInt64(writeBytes), totalBytes - offset))
            ring.retain(slot: slot)
            queue.push(
                DecodedExtent(memory: (ring, slot, slot * writeBytes), lengthBytes: count, deviceOffset: offset))
            counters.decodedBytes.wrappingAdd(UInt64(count), ordering: .relaxed)
            offset += UInt64(count)
            slot = (slot + 1) % (ring.capacityBytes / writeBytes)
        }
        queue.close()
    }
}

extension Measurement.Sample {
    fileprivate init(since begin: Instant, _ counters: TransferCounters, bytesInFlight: Int) {
        self.init(
            seconds: Instant.now.seconds(since: begin), fetchedBytes: 0,
            decodedBytes: counters.decodedBytes.load(ordering: .relaxed),
            writtenBytes: counters.writtenBytes.load(ordering: .relaxed), waitingBytes: 0, bytesInFlight: bytesInFlight)
    }
}
