import CosiFormat

/// How many lanes a run gets, and what each may use: decided before the disk is touched.
struct LanePlan {
    let lanes: Int
    let limits: LaneLimits

    /// Room for writes in flight, all lanes together; half of it is the source's where it keeps as much itself.
    static let inFlightBytes = 16 << 20
    private static let pipeBytes = 4 << 20
    static let slotBytes = 1 << 20
    /// Program, libraries, the image's head, the tables: what is there beside the lanes.
    private static let baseBytes: UInt64 = 20 << 20
    /// RFC 8878 §3.1.1.2.4: no block is larger.
    static let blockBytesMax = 128 << 10

    /// As many lanes as there are processors, fewer where memory is tight; none more than the image can use.
    ///
    /// Throws `.memory` when even one does not fit.
    init(_ contents: ImageContents, memoryLimitBytes: UInt64?, lanesMax: Int? = nil) throws(StreamFault) {
        // A sequential source gives one image at a time, but its frames may be dealt out all the same.
        try self.init(
            windowBytesMax: contents.windowBytesMax,
            largestBytes: contents.partitionRegions.map(\.image.uncompressedSizeBytes).max() ?? 0,
            readBufferBytes: contents.readBufferBytes, lanesMax: lanesMax ?? processorCount(),
            memoryLimitBytes: memoryLimitBytes)
    }

    init(
        windowBytesMax: UInt64, largestBytes: UInt64, readBufferBytes: Int = 0, lanesMax: Int, memoryLimitBytes: UInt64?
    ) throws(StreamFault) {
        for lanes in stride(from: max(lanesMax, 1), through: 1, by: -1) {
            let room = Self.inFlightBytes - min(readBufferBytes, Self.inFlightBytes / 2)
            let inFlight = max(room / lanes, 2 * Self.slotBytes)
            let ring = SlotRing.lapBytes(
                windowBytes: windowBytesMax, contentBytes: largestBytes, blockBytesMax: Self.blockBytesMax,
                inFlightBytes: inFlight)
            let needed = UInt64(lanes) * (ring + UInt64(Self.pipeBytes + readBufferBytes)) + Self.baseBytes
            if let memoryLimitBytes, needed > memoryLimitBytes {
                if lanes > 1 { continue }
                throw .memory(neededBytes: needed, limitBytes: memoryLimitBytes)
            }
            self.lanes = lanes
            limits = LaneLimits(
                windowBytesMax: windowBytesMax, ringBytes: ring, slotBytes: Self.slotBytes, inFlightBytes: inFlight,
                pipeBytes: Self.pipeBytes)
            return
        }
        preconditionFailure("one lane is always tried")
    }
}
