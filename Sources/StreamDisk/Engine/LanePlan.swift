import CosiFormat

/// How many lanes a run gets, and what each may use: decided before the disk is touched.
struct LanePlan {
    let lanes: Int
    let limits: LaneLimits

    /// Room for writes in flight, all lanes together; half of it is the source's where it keeps as much itself.
    static let inFlightBytes = 16 << 20
    private static let pipeBytes = 4 << 20
    static let slotBytes = 1 << 20
    /// Address space that is reserved and not touched. Of a lane: the stacks of its threads (decoder, checksums, fetch), and
    /// what aligns its two buffers. Beside: the same of all others, and room for heaps to grow.
    private static let reservedBytesPerLane = UInt64(3 * WorkerThread.stackBytes + 2 * DirectBuffer.hugePageBytes)
    private static let reservedBytes: UInt64 = 32 << 20
    /// RFC 8878 §3.1.1.2.4: no block is larger.
    static let blockBytesMax = 128 << 10

    /// As many lanes as there are processors, fewer where memory is tight; none more than the image can use.
    ///
    /// - Parameter besideBytes: memory that the run needs beside the lanes and what every run has.
    /// - Throws: `.memory` when even one does not fit.
    init(
        _ contents: ImageContents, limits: MemoryLimits, besideBytes: UInt64 = 0, lanesMax: Int? = nil
    ) throws(StreamFault) {
        // A sequential source gives one image at a time, but its frames may be dealt out all the same.
        try self.init(
            windowBytesMax: contents.windowBytesMax,
            largestBytes: contents.partitionRegions.map(\.image.uncompressedSizeBytes).max() ?? 0,
            readBufferBytes: contents.readBufferBytes, lanesMax: lanesMax ?? processorCount(), limits: limits,
            besideBytes: besideBytes + PreflightMemory.memoryBytesBeside(metadataBytes: contents.metadataBytes))
    }

    init(
        windowBytesMax: UInt64, largestBytes: UInt64, readBufferBytes: Int = 0, lanesMax: Int,
        limits: MemoryLimits = .none, besideBytes: UInt64 = 0
    ) throws(StreamFault) {
        let lanesMax = max(lanesMax, 1)
        // Where one lane is too much, it gets less room for writes in flight.
        let shapes =
            (1...lanesMax).reversed().map { (lanes: $0, room: Self.inFlightBytes) }
            + [(lanes: 1, room: Self.inFlightBytes / 2), (lanes: 1, room: Self.inFlightBytes / 4)]
        var refusal: StreamFault?
        for (lanes, room) in shapes {
            let inFlight = max((room - min(readBufferBytes, room / 2)) / lanes, 2 * Self.slotBytes)
            let ring = SlotRing.lapBytes(
                windowBytes: windowBytesMax, contentBytes: largestBytes, blockBytesMax: Self.blockBytesMax,
                inFlightBytes: inFlight)
            let need = MemoryNeed(
                bytes: UInt64(lanes) * (ring + UInt64(Self.pipeBytes + readBufferBytes)) + besideBytes,
                reservedBytes: UInt64(lanes) * Self.reservedBytesPerLane + Self.reservedBytes)
            do throws(StreamFault) {
                try limits.expectRoom(for: need)
            } catch {
                refusal = error
                continue
            }
            self.lanes = lanes
            self.limits = LaneLimits(
                windowBytesMax: windowBytesMax, ringBytes: ring, slotBytes: Self.slotBytes, inFlightBytes: inFlight,
                pipeBytes: Self.pipeBytes)
            return
        }
        guard let refusal else { preconditionFailure("one lane is always tried") }
        throw refusal
    }

    /// Threads that work at once, at most: a fetcher, a decoder and a checker a lane, and the one that brings pages in.
    var threadCount: Int { 3 * lanes + 1 }
}
