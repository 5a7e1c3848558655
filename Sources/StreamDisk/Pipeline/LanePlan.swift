import CosiFormat

/// The number of lanes of a run and the limits of each, decided before the disk is touched.
package struct LanePlan {
    let lanes: Int
    let limits: LaneLimits

    /// Buffer space for writes in flight, summed over all lanes. If the source buffers data too, its share (at most half) is
    /// taken from this.
    package static let inFlightBytes = 16 << 20
    package static let slotBytes = 1 << 20
    /// Buffer for a lane's compressed bytes. With more than two lanes it holds more than a whole frame of usual size (16 MiB
    /// decoded); otherwise the fetch thread fills one lane while others have nothing to do (docs/decisions/0007).
    private static func pipeBytes(lanes: Int) -> Int { lanes > 2 ? 8 << 20 : 4 << 20 }
    /// Address space that is reserved but not touched. Per lane: the stacks of its threads (decoder, checksums, fetch) and the
    /// alignment of its two buffers. In addition: the same for all other threads, and room for heaps to grow.
    private static let reservedBytesPerLane = UInt64(3 * WorkerThread.stackBytes + 2 * DirectBuffer.hugePageBytes)
    private static let reservedBytes: UInt64 = 32 << 20
    /// RFC 8878 §3.1.1.2.4: no block is larger.
    static let blockBytesMax = 128 << 10

    init(lanes: Int, limits: LaneLimits) {
        self.lanes = lanes
        self.limits = limits
    }

    /// At most one lane per processor, fewer if memory is tight. Each starts when a frame first needs it.
    ///
    /// - Parameter besideBytes: memory that the run needs in addition to the lanes and to what every run needs.
    /// - Throws: `.memory` if not even one lane fits.
    package init(
        _ contents: ImageContents, largestBytes: UInt64? = nil, limits: MemoryLimits, besideBytes: UInt64 = 0,
        lanesMax: Int? = nil
    ) throws(StreamFault) {
        // A sequential source delivers one image at a time, but its frames can still use several lanes.
        try self.init(
            windowBytesMax: contents.windowBytesMax,
            largestBytes: largestBytes ?? contents.partitionRegions.map(\.image.uncompressedSizeBytes).max() ?? 0,
            readBufferBytes: contents.readBufferBytes, lanesMax: lanesMax ?? processorCount(), limits: limits,
            besideBytes: besideBytes + PreflightMemory.memoryBytesBeside(metadataBytes: contents.metadataBytes))
    }

    init(
        windowBytesMax: UInt64, largestBytes: UInt64, readBufferBytes: Int = 0, lanesMax: Int,
        limits: MemoryLimits = .none, besideBytes: UInt64 = 0
    ) throws(StreamFault) {
        let lanesMax = max(lanesMax, 1)
        // If one lane needs too much memory, it gets less space for writes in flight.
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
                bytes: UInt64(lanes) * (ring + UInt64(Self.pipeBytes(lanes: lanes) + readBufferBytes)) + besideBytes,
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
                pipeBytes: Self.pipeBytes(lanes: lanes))
            return
        }
        guard let refusal else { preconditionFailure("one lane is always tried") }
        throw refusal
    }
}

/// The sizes of a lane, all bounded in advance.
struct LaneLimits: Sendable {
    /// The largest window that a frame may require.
    var windowBytesMax: UInt64
    var ringBytes: UInt64
    var slotBytes: Int
    /// Space for writes in flight in addition to the window.
    var inFlightBytes: Int
    var pipeBytes: Int

    /// How many bytes of the ring a frame uses before it starts again at offset 0.
    func lapBytes(_ header: ZstdFrameHeader, contentBytesMax: UInt64) -> Int {
        Int(
            SlotRing.lapBytes(
                windowBytes: header.windowBytes, contentBytes: header.contentBytes ?? contentBytesMax,
                blockBytesMax: header.blockBytesMax, inFlightBytes: inFlightBytes))
    }
}
