package import CosiFormat

/// Copies frames from the seeds to the consumer: read again, and hashed again in the memory that is then written.
///
/// So a seed that changed since it was scanned can never reach the disk: its frame is fetched instead. A copy belongs to one
/// thread; only `stop` may be called by others.
package final class SeedCopy: Sendable {
    /// One frame being read, and others being written.
    private static let slotCount = 3

    private let seeds: [SeedFile]
    private let blockBytes: Int
    private let ring: SlotRing
    private let next = Monitor(0)

    /// - Parameters:
    ///   - frameBytesMax: the longest content of a frame that is copied.
    ///   - blockBytes: of the device.
    package init(
        _ seeds: [SeedFile], frameBytesMax: Int, blockBytes: Int, counters: TransferCounters = TransferCounters()
    ) throws(StreamFault) {
        self.seeds = seeds
        self.blockBytes = blockBytes
        let slotBytes = Self.slotBytes(frameBytesMax)
        ring = try SlotRing(capacityBytes: Self.slotCount * slotBytes, slotBytes: slotBytes, counters: counters)
    }

    package static func memoryBytes(frameBytesMax: Int) -> UInt64 { UInt64(slotCount * slotBytes(frameBytesMax)) }

    private static func slotBytes(_ frameBytes: Int) -> Int {
        (max(frameBytes, 1) + SlotRing.alignmentBytes - 1) / SlotRing.alignmentBytes * SlotRing.alignmentBytes
    }

    /// Hands the frame's content to the consumer, padded with zeros to a whole block.
    ///
    /// - Parameter deviceOffset: where it goes.
    /// - Returns: false if the content is not, or no longer, at `place`: then nothing was handed over.
    package func copy(
        _ frame: ContentIndex.Frame, from place: SeedTable.Place, toDevice deviceOffset: UInt64, into queue: ExtentQueue
    ) throws(Stopped) -> Bool {
        let slot = next.withLock { next in
            defer { next = (next + 1) % Self.slotCount }
            return next
        }
        try ring.waitUntilFree(slot: slot)
        let start = slot * ring.slotBytes
        let count = Int(frame.contentBytes)
        do {
            try seeds[place.seed].read(place.offset, count: count, into: ring.buffer, at: start)
        } catch {
            return false
        }
        var digest = MessageDigest(.sha256)
        ring.buffer.withBytes(start, count: count) { digest.update($0) }
        guard ContentHash(digest.finish()) == frame.sha256 else { return false }
        let end = start + (count + blockBytes - 1) / blockBytes * blockBytes
        ring.buffer.zero(start + count, count: end - start - count)
        // Used until all of it is handed over: the consumer may be done with the first extent before the last is there.
        ring.retain(slot: slot)
        defer { ring.release(slot: slot) }
        var at = start
        while at < end {
            let pieceEnd = min(at + LanePlan.slotBytes, end)
            for run in ZeroRuns(in: ring.buffer, from: at, to: pieceEnd, grainBytes: max(blockBytes, FrameCutter.blockBytes)) {
                if !run.isZero { ring.retain(slot: slot) }
                queue.push(
                    DecodedExtent(
                        memory: run.isZero ? nil : (ring, slot, run.range.lowerBound), lengthBytes: run.range.count,
                        deviceOffset: deviceOffset + UInt64(run.range.lowerBound - start)))
            }
            at = pieceEnd
        }
        return true
    }

    /// Makes `copy` throw at its next wait.
    package func stop() { ring.stop() }
}
