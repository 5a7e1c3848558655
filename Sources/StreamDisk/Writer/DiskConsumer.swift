/// A consumer with a disk at its other end: the writer and the comparer. What they share is the loop between lanes and disk.
package protocol DiskConsumer: ExtentConsumer, ~Copyable {
    /// What was started of all that came.
    var account: ExtentAccount { get set }
    var disk: DiskGeometry { get }
    var requestsInFlight: Int { get }
    var firstError: DiskIOError? { get }
    var activity: DiskActivity { get }
    var tickSeconds: Double { get }

    func hasRoom(for extent: DecodedExtent) -> Bool
    /// Starts the extent at `index`, which is counted, and perhaps some that continue it; `index` is then the last one started.
    mutating func start(_ extents: [DecodedExtent], _ index: inout Int)
    /// Waits for completions or a wake, and looks at what has ended. Where the transfer stops, nothing new is started.
    mutating func reap(_ counters: TransferCounters, isStopping: Bool)
}

extension DiskConsumer where Self: ~Copyable {
    /// Starts what comes through `queue` until every lane has ended and every request was reaped.
    ///
    /// After the first error of the disk nothing more is started: it stops the transfer, and what is in flight is drained. The
    /// same goes for an extent that comes a second time, in whole or in part, which is not started.
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
                } else if !hasRoom(for: extent) {
                    break
                } else if let twice = account.add(extent.deviceOffset..<extent.deviceEnd) {
                    let start = disk.locate(twice).range.lowerBound
                    transfer.fail(
                        .image(
                            .data, "decoded data",
                            "two frames hold the bytes from \(start) of \(disk.name(at: twice.lowerBound)) on"))
                    isStopping = true
                    continue
                } else {
                    start(extents, &next)
                }
                next += 1
            }
            // Where the disk is the slower one, something is always left over: what was started must go all the same.
            extents.removeFirst(next)
            if extents.isEmpty && !lanesAtWork && requestsInFlight == 0 { return }
            // With work left over there is no room: only a completion helps, so the lanes need not wake us.
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

    /// Throws unless exactly `expected` has come, each byte once.
    func requireAll(of expected: ExtentAccount) throws(StreamFault) {
        guard let range = account.firstDifference(from: expected) else { return }
        let place = disk.locate(range).range
        throw .image(
            .data, "decoded data",
            "bytes \(place.lowerBound) to \(place.upperBound) of \(disk.name(at: range.lowerBound)) are not covered by what the "
                + "frames hold")
    }
}
