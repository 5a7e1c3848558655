/// Reads back what was written and compares it with checksums that were taken while the decoder's output was in the cache.
///
/// The writer notes each extent; zeros are noted as such, whoever zeroed them. Reading stops at the first difference.
struct ReadBack {
    /// What was written, as it must be read back.
    private struct Noted {
        let deviceOffset: UInt64
        /// XXH3 of its bytes; of no meaning where all of them are zeros.
        let checksum: UInt64
        let lengthBytes: UInt32
        let isZero: Bool
    }

    /// A read under way: of extents that lie side by side, to a place in the chunks' memory.
    struct Read {
        fileprivate let extents: Range<Int>
        fileprivate let place: Int
    }

    private var chunks: ReadChunks
    private var extents: [Noted] = []
    private(set) var comparedBytes: UInt64 = 0
    private var firstDifference: Range<UInt64>?

    init() throws(StreamFault) { chunks = try ReadChunks() }

    /// What it takes of memory at most for an image of so many bytes: the chunks, and an extent for every stretch of zeros and for
    /// what lies between two of them; three times over while their array grows.
    static func memoryBytesMax(keptBytes: UInt64) -> UInt64 {
        let count = keptBytes / UInt64(ZeroRuns.runBytesMin) * 2
        return ReadChunks.totalBytes + 3 * count * UInt64(MemoryLayout<Noted>.stride)
    }

    mutating func keep(_ extent: DecodedExtent) {
        precondition(extent.lengthBytes <= ReadChunks.chunkBytes && (extent.isZero || extent.checksum != nil))
        extents.append(
            Noted(
                deviceOffset: extent.deviceOffset, checksum: extent.checksum ?? 0, lengthBytes: UInt32(extent.lengthBytes),
                isZero: extent.isZero))
    }

    /// Reads all of it, in the order of the disk and several reads at once. Throws the first difference.
    ///
    /// Direct I/O, so it is the disk that answers and not the page cache.
    mutating func run<Queue: DiskQueue & ~Copyable>(
        through requests: inout RequestTable<Queue, DiskWriter<Queue>.Purpose>, stop: Cancellation,
        tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        extents.sort { $0.deviceOffset < $1.deviceOffset }
        var ended: [RequestTable<Queue, DiskWriter<Queue>.Purpose>.Ended] = []
        var next = 0
        var lastTick = Instant.now
        while true {
            // What lies before a difference was asked for before it, so the first one is known when the rest has come back.
            while requests.hasFreeRequest, requests.firstError == nil, !stop.isCancelled, firstDifference == nil,
                !chunks.isEmpty, next < extents.count
            {
                start(&next, &requests)
            }
            if requests.requestsInFlight == 0 { break }
            requests.reap(until: .after(seconds: requests.tickSeconds), into: &ended)
            for end in ended {
                guard case .readBack(let read) = end.purpose else { preconditionFailure("not a read") }
                if end.outcome == .done { compare(read) }
                chunks.giveBack(read.place)
            }
            ended.removeAll(keepingCapacity: true)
            if Instant.now.seconds(since: lastTick) >= requests.tickSeconds {
                lastTick = .now
                tick(activity(requests.activity))
            }
        }
        if let error = requests.takeFirstError() { throw .device(error) }
        if let range = firstDifference {
            let place = requests.disk.locate(range)
            throw .mismatch(DiskMismatch(.written, path: place.path, area: nil, range: place.range))
        }
        if stop.isCancelled { throw .cancelled }
        tick(activity(requests.activity))
    }

    private func activity(_ activity: DiskActivity) -> DiskActivity {
        var activity = activity
        activity.comparedBytes = comparedBytes
        return activity
    }

    /// Starts one read of as many extents as lie side by side and fit into a chunk; `next` is then the one after them.
    private mutating func start<Queue: DiskQueue & ~Copyable>(
        _ next: inout Int, _ requests: inout RequestTable<Queue, DiskWriter<Queue>.Purpose>
    ) {
        let first = next
        let offset = extents[first].deviceOffset
        var end = offset
        repeat {
            end += UInt64(extents[next].lengthBytes)
            next += 1
        } while next < extents.count && extents[next].deviceOffset == end
            && end + UInt64(extents[next].lengthBytes) <= offset + UInt64(ReadChunks.chunkBytes)
        let place = chunks.take()
        requests.submit(
            chunks.read(offset, count: Int(end - offset), to: place),
            for: .readBack(Read(extents: first..<next, place: place)))
    }

    private mutating func compare(_ read: Read) {
        var place = read.place
        for extent in extents[read.extents] {
            let count = Int(extent.lengthBytes)
            let isRight =
                extent.isZero
                ? chunks.memory.isZero(place, count: count)
                : chunks.memory.checksum(place, count: count) == extent.checksum
            let range = extent.deviceOffset..<extent.deviceOffset + UInt64(count)
            if !isRight, range.lowerBound < firstDifference?.lowerBound ?? .max { firstDifference = range }
            place += count
            comparedBytes += UInt64(count)
        }
    }
}
