/// Reads back what was written and compares it with checksums taken from the decoder's output.
///
/// The writer records each extent; zeros are recorded as zeros, whichever way they were written. Reading stops at the first
/// difference.
struct ReadBack {
    /// An extent that was written, with what must be read back.
    private struct Noted {
        let deviceOffset: UInt64
        /// XXH3 of its bytes; unused if all of them are zeros.
        let checksum: UInt64
        let lengthBytes: UInt32
        let isZero: Bool
    }

    /// A read in flight: adjacent extents, into the chunk at `place`.
    struct Read {
        fileprivate let extents: Range<Int>
        fileprivate let place: Int
    }

    private var chunks: ReadChunks
    private var extents: [Noted] = []
    private(set) var comparedBytes: UInt64 = 0
    private var firstDifference: Range<UInt64>?

    init() throws(StreamFault) { chunks = try ReadChunks() }

    /// The most memory it needs for `keptBytes` of images: the chunks, plus one record for each possible run of zeros and the
    /// data between two runs, and for each of `frameCount` frames that may be found; times three while their array grows.
    static func memoryBytesMax(keptBytes: UInt64, frameCount: Int = 0) -> UInt64 {
        let count = keptBytes / UInt64(ZeroRuns.runBytesMin) * 2 + 2 * UInt64(frameCount)
        return ReadChunks.totalBytes + 3 * count * UInt64(MemoryLayout<Noted>.stride)
    }

    mutating func keep(_ extent: DecodedExtent) {
        precondition(extent.lengthBytes <= ReadChunks.chunkBytes && (extent.isZero || extent.checksum != nil))
        extents.append(
            Noted(
                deviceOffset: extent.deviceOffset, checksum: extent.checksum ?? 0, lengthBytes: UInt32(extent.lengthBytes),
                isZero: extent.isZero))
    }

    /// Reads everything in disk order, with several reads in flight. Throws the first difference.
    ///
    /// Uses direct I/O, so the disk answers and not the page cache.
    mutating func run<Queue: DiskQueue & ~Copyable>(
        through requests: inout RequestTable<Queue, DiskWriter<Queue>.Purpose>, stop: Cancellation,
        tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        extents.sort { $0.deviceOffset < $1.deviceOffset }
        var ended: [RequestTable<Queue, DiskWriter<Queue>.Purpose>.Ended] = []
        var next = 0
        var lastTick = Instant.now
        while true {
            // Reads before the difference were submitted earlier, so the first difference is known once all of them have
            // finished.
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

    /// Starts one read of as many adjacent extents as fit into a chunk. Sets `next` to the extent after them.
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
