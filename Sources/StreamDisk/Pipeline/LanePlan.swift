import CosiFormat

/// How many lanes a run gets, and what each may use: decided before the disk is touched.
package struct LanePlan {
    let lanes: Int
    let limits: LaneLimits

    /// Room for writes in flight, all lanes together; half of it is the source's where it keeps as much itself.
    package static let inFlightBytes = 16 << 20
    package static let slotBytes = 1 << 20
    /// Of a lane, for compressed bytes. With many lanes it holds a whole frame and more, as tools cut them (16 MiB decoded): with
    /// less the fetch thread fills one lane while others run dry (docs/decisions/0007).
    private static func pipeBytes(lanes: Int) -> Int { lanes > 2 ? 8 << 20 : 4 << 20 }
    /// Address space that is reserved and not touched. Of a lane: the stacks of its threads (decoder, checksums, fetch), and
    /// what aligns its two buffers. Beside: the same of all others, and room for heaps to grow.
    private static let reservedBytesPerLane = UInt64(3 * WorkerThread.stackBytes + 2 * DirectBuffer.hugePageBytes)
    private static let reservedBytes: UInt64 = 32 << 20
    /// RFC 8878 §3.1.1.2.4: no block is larger.
    static let blockBytesMax = 128 << 10

    init(lanes: Int, limits: LaneLimits) {
        self.lanes = lanes
        self.limits = limits
    }

    /// At most as many lanes as there are processors, fewer where memory is tight. Each begins when a frame first needs it.
    ///
    /// - Parameters:
    ///   - largestBytes: of the images to be decoded; nil: of all of them.
    ///   - besideBytes: memory that the run needs beside the lanes and what every run has.
    /// - Throws: `.memory` when even one does not fit.
    package init(
        _ contents: ImageContents, largestBytes: UInt64? = nil, limits: MemoryLimits, besideBytes: UInt64 = 0, lanesMax: Int? = nil
    ) throws(StreamFault) {
        // A sequential source gives one image at a time, but its frames may be dealt out all the same.
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

/// The sizes a lane is built with, all bounded beforehand.
struct LaneLimits: Sendable {
    /// The largest window any frame may ask for.
    var windowBytesMax: UInt64
    var ringBytes: UInt64
    var slotBytes: Int
    /// Room for writes in flight beside the window.
    var inFlightBytes: Int
    var pipeBytes: Int

    /// How much of the ring a frame goes through before it begins again at its start.
    func lapBytes(_ header: ZstdFrameHeader, contentBytesMax: UInt64) -> Int {
        Int(
            SlotRing.lapBytes(
                windowBytes: header.windowBytes, contentBytes: header.contentBytes ?? contentBytesMax,
                blockBytesMax: header.blockBytesMax, inFlightBytes: inFlightBytes))
    }
}
