import CosiFormat

/// Reads the places of frames, and hashes what is there while the next bytes are read. One thread's.
struct FrameReader<Queue: DiskQueue & ~Copyable>: ~Copyable {
    private struct Read {
        let number: Int
        let place: Int
        let lengthBytes: Int
    }

    private var requests: RequestTable<Queue, Read>
    private var chunks: ReadChunks

    init(queue: consuming Queue, disk: DiskGeometry) throws(StreamFault) {
        let chunks = try ReadChunks(count: frameReaderChunks)
        let requests = try RequestTable<Queue, Read>(queue: queue, disk: disk)
        self.chunks = chunks
        self.requests = requests
    }

    /// Compares the disk with frames of `image`, at least one. A frame that cannot be read is missing: what is written there
    /// shows whether the disk is at fault.
    ///
    /// - Parameters:
    ///   - silence: told for how many seconds the disk has been silent, while this waits.
    ///   - judge: called for each frame in order, with its bytes if it is there, else with nil.
    /// - Returns: false if `stop` ended it before.
    mutating func compare(
        _ range: Range<Int>, of image: IndexedImage, keepsChecksums: Bool, stop: Cancellation,
        silence: (Double) -> Void, _ judge: (Int, [FoundBytes]?) -> Void
    ) -> Bool {
        let block = UInt64(requests.disk.blockBytes)
        var offset = image.deviceOffset(of: range.lowerBound)
        let last = range.upperBound - 1
        let end = (image.deviceOffset(of: last) + UInt64(image.frames[last].contentBytes) + block - 1) / block * block
        var hasher = FrameHasher(
            image.frames[range], deviceOffset: offset, blockBytes: requests.disk.blockBytes, keepsChecksums: keepsChecksums)
        var ended: [RequestTable<Queue, Read>.Ended] = []
        var arrived: [Int: (read: Read, isDone: Bool)] = [:]
        var (submitted, hashed) = (0, 0)
        while true {
            while offset < end, !stop.isCancelled, requests.hasFreeRequest, !chunks.isEmpty {
                let count = Int(min(end - offset, UInt64(ReadChunks.chunkBytes)))
                let place = chunks.take()
                requests.submit(
                    chunks.read(offset, count: count, to: place), for: Read(number: submitted, place: place, lengthBytes: count))
                submitted += 1
                offset += UInt64(count)
            }
            if requests.requestsInFlight > 0 {
                // Only polls while there is something to hash.
                let isReady = arrived[hashed] != nil
                requests.reap(until: isReady ? Instant(nanoseconds: 0) : .after(seconds: requests.tickSeconds), into: &ended)
                for end in ended {
                    guard let read = end.purpose else { preconditionFailure("a single request among what is read") }
                    arrived[read.number] = (read, end.outcome == .done)
                }
                ended.removeAll(keepingCapacity: true)
                silence(requests.silenceSeconds)
            }
            if let (read, isDone) = arrived.removeValue(forKey: hashed) {
                if !stop.isCancelled {
                    hasher.take(chunks.memory, read.place, count: read.lengthBytes, isRead: isDone, judge)
                }
                chunks.giveBack(read.place)
                hashed += 1
            } else if requests.requestsInFlight == 0 {
                break
            }
        }
        _ = requests.takeFirstError()
        return !stop.isCancelled
    }
}

/// Reads in flight of each reader.
private let frameReaderChunks = 4

/// The memory of each `FrameReader`.
let frameReaderBytes = UInt64(frameReaderChunks * ReadChunks.chunkBytes)
