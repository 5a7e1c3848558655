/// A consumer that works with a disk: the writer or the comparer. They share the loop between lanes and disk.
package protocol DiskConsumer: ExtentConsumer, ~Copyable {
    /// The ranges of all extents that were started.
    var account: ExtentAccount { get set }
    var disk: DiskGeometry { get }
    var requestsInFlight: Int { get }
    var firstError: DiskIOError? { get }
    var activity: DiskActivity { get }
    var tickSeconds: Double { get }

    /// Takes an extent that the disk already holds, which is already counted.
    mutating func keepFound(_ extent: DecodedExtent)
    func hasRoom(for extent: DecodedExtent) -> Bool
    /// Starts the extent at `index`, which is already counted, and perhaps some that continue it. Sets `index` to the last one
    /// started.
    mutating func start(_ extents: [DecodedExtent], _ index: inout Int)
    /// Waits for completions or a wake, and processes what has finished. Starts nothing new if the transfer is stopping.
    mutating func reap(_ counters: TransferCounters, isStopping: Bool)
}

extension DiskConsumer where Self: ~Copyable {
    /// Starts what arrives through `queue` until every lane has ended and every request was reaped.
    ///
    /// After the disk's first error nothing more is started: the transfer stops, and requests in flight are drained. The same
    /// happens if an extent overlaps an earlier one; it is not started.
    package mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void) {
        var extents: [DecodedExtent] = []
        var lastTick = Instant.now
        while true {
            let lanesAtWork = queue.take(into: &extents)
            var isStopping = firstError != nil || transfer.stop.isCancelled
            var next = 0
            while next < extents.count {
                let extent = extents[next]
                if isStopping {
                    extent.release()
                } else if !extent.isReused, !hasRoom(for: extent) {
                    break
                } else if let twice = account.add(extent.deviceOffset..<extent.deviceEnd) {
                    let start = disk.locate(twice).range.lowerBound
                    transfer.fail(
                        .image(
                            .data, "decoded data",
                            "two frames hold the bytes from \(start) of \(disk.name(at: twice.lowerBound)) on"))
                    isStopping = true
                    continue
                } else if extent.isReused {
                    keepFound(extent)
                    transfer.counters.reusedBytes.wrappingAdd(UInt64(extent.lengthBytes), ordering: .relaxed)
                } else {
                    start(extents, &next)
                }
                next += 1
            }
            // If the disk is slower than the lanes, extents are always left over; what was started must still be submitted.
            extents.removeFirst(next)
            if extents.isEmpty && !lanesAtWork && requestsInFlight == 0 { return }
            // With extents left over there is no room: only a completion helps, so lanes need not wake this thread.
            let isFull = !extents.isEmpty
            if isFull || queue.willWait() {
                let start = Instant.now
                reap(transfer.counters, isStopping: isStopping)
                transfer.counters.write.addWait(since: start, forOutput: isFull)
            }
            if let error = firstError { transfer.fail(.device(error)) }
            if Instant.now.seconds(since: lastTick) >= tickSeconds {
                lastTick = .now
                tick(activity)
            }
        }
    }

    /// Throws unless exactly the bytes of `expected` were started, each once.
    func requireAll(of expected: ExtentAccount) throws(StreamFault) {
        guard let range = account.firstDifference(from: expected) else { return }
        let place = disk.locate(range).range
        throw .image(
            .data, "decoded data",
            "bytes \(place.lowerBound) to \(place.upperBound) of \(disk.name(at: range.lowerBound)) are not covered by what the "
                + "frames hold")
    }
}
