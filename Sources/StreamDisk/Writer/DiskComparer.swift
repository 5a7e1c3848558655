/// The consumer for `verify`: compares decoded extents with the disk, and writes nothing.
///
/// Used only on the thread that created it.
struct DiskComparer<Queue: DiskQueue & ~Copyable>: ~Copyable, DiskConsumer {
    /// A read for this extent, into the chunk at `place`.
    struct Purpose {
        let extent: DecodedExtent
        let place: Int
    }

    var requests: RequestTable<Queue, Purpose>
    private var chunks: ReadChunks
    var account = ExtentAccount()
    private(set) var comparedBytes: UInt64 = 0
    /// How many extents differ, and the difference with the lowest offset on the disk.
    private(set) var differenceCount = 0
    private(set) var firstDifference: Range<UInt64>?
    private var ended: [RequestTable<Queue, Purpose>.Ended] = []

    init(queue: consuming Queue, disk: DiskGeometry, tickSeconds: Double = 0.2) throws(StreamFault) {
        let chunks = try ReadChunks()
        let requests = try RequestTable<Queue, Purpose>(queue: queue, disk: disk, tickSeconds: tickSeconds)
        self.chunks = chunks
        self.requests = requests
    }

    var waker: any QueueWaker { requests.waker }
    var disk: DiskGeometry { requests.disk }
    var blockBytes: Int { disk.blockBytes }
    var wantsChecksums: Bool { false }

    var requestsInFlight: Int { requests.requestsInFlight }
    var firstError: DiskIOError? { requests.firstError }
    var tickSeconds: Double { requests.tickSeconds }
    var activity: DiskActivity {
        var activity = requests.activity
        activity.comparedBytes = comparedBytes
        return activity
    }

    func hasRoom(for extent: DecodedExtent) -> Bool { requests.hasFreeRequest && !chunks.isEmpty }

    mutating func keepFound(_ extent: DecodedExtent) { comparedBytes += UInt64(extent.lengthBytes) }

    mutating func start(_ extents: [DecodedExtent], _ index: inout Int) {
        let (extent, place) = (extents[index], chunks.take())
        requests.submit(
            chunks.read(extent.deviceOffset, count: extent.lengthBytes, to: place),
            for: Purpose(extent: extent, place: place))
    }

    mutating func reap(_ counters: TransferCounters, isStopping: Bool) {
        requests.reap(until: .after(seconds: requests.tickSeconds), into: &ended)
        for end in ended {
            guard let read = end.purpose else { preconditionFailure("a single request among what is compared") }
            if end.outcome == .done { compare(read.extent, at: read.place) }
            chunks.giveBack(read.place)
            read.extent.release()
        }
        ended.removeAll(keepingCapacity: true)
    }

    private mutating func compare(_ extent: DecodedExtent, at place: Int) {
        comparedBytes += UInt64(extent.lengthBytes)
        let differing: Range<Int>?
        if let source = extent.memory {
            differing = source.ring.buffer.withBytes(source.ringOffset, count: extent.lengthBytes) { bytes in
                chunks.memory.difference(place, from: bytes)
            }
        } else {
            differing = chunks.memory.differenceFromZeros(place, count: extent.lengthBytes)
        }
        guard let differing else { return }
        differenceCount += 1
        let start = extent.deviceOffset + UInt64(differing.lowerBound)
        if start < firstDifference?.lowerBound ?? .max {
            firstDifference = start..<extent.deviceOffset + UInt64(differing.upperBound)
        }
    }
}
