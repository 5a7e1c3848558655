/// Writes decoded extents with a bounded number of bytes in flight.
///
/// Used only on the thread that created it.
package struct DiskWriter<Queue: DiskQueue & ~Copyable>: ~Copyable, DiskConsumer {
    /// Zeroing is cheap to request, but slow on some devices. While few requests are in flight, waiting ranges are merged.
    private static var zeroingInFlightMax: Int { 4 }

    /// The purpose of a request.
    enum Purpose {
        /// The slot is released when the request has finished.
        case extent(DecodedExtent)
        case zeroing(ZeroMethod)
        /// Zeros are being written; `bytesLeft` bytes of the range follow.
        case zeroFill(bytesLeft: Int)
        case readBack(ReadBack.Read)
    }

    package struct Options {
        /// Writes in flight are limited in bytes: a slow device must not collect minutes of work.
        var bytesInFlightMax: Int
        var zerosByDevice: Bool
        /// Whether everything written is read back. If so, only reading back gives the proof `Verified`.
        var readsBack: Bool
        /// If there is a page cache, makes the next reads come from the disk.
        var dropCache: @Sendable () -> Void
        /// How often the caller is called back while the writer waits.
        var tickSeconds: Double

        package init(
            bytesInFlightMax: Int = 16 << 20, zerosByDevice: Bool = true, readsBack: Bool = false,
            dropCache: @escaping @Sendable () -> Void = {}, tickSeconds: Double = 0.2
        ) {
            self.bytesInFlightMax = bytesInFlightMax
            self.zerosByDevice = zerosByDevice
            self.readsBack = readsBack
            self.dropCache = dropCache
            self.tickSeconds = tickSeconds
        }
    }

    var requests: RequestTable<Queue, Purpose>
    let options: Options
    /// Nil if nothing is read back.
    private(set) var readBack: ReadBack?
    package var account = ExtentAccount()
    private var zeroing: ZeroFallback
    private var ended: [RequestTable<Queue, Purpose>.Ended] = []

    package init(queue: consuming Queue, disk: DiskGeometry, options: Options = Options()) throws(StreamFault) {
        let zeroing = try ZeroFallback(byDevice: options.zerosByDevice)
        let readBack = options.readsBack ? try ReadBack() : nil
        let requests = try RequestTable<Queue, Purpose>(queue: queue, disk: disk, tickSeconds: options.tickSeconds)
        self.zeroing = zeroing
        self.readBack = readBack
        self.requests = requests
        self.options = options
    }

    package var waker: any QueueWaker { requests.waker }
    package var disk: DiskGeometry { requests.disk }
    package var blockBytes: Int { disk.blockBytes }
    package var wantsChecksums: Bool { options.readsBack }

    package var requestsInFlight: Int { requests.requestsInFlight }
    package var firstError: DiskIOError? { requests.firstError }
    package var activity: DiskActivity { requests.activity }
    package var tickSeconds: Double { options.tickSeconds }

    package func hasRoom(for extent: DecodedExtent) -> Bool {
        if !requests.hasFreeRequest { return false }
        if requests.requestsInFlight == 0 { return true }
        if extent.isZero && zeroing.method != nil { return requests.zeroingInFlight < Self.zeroingInFlightMax }
        return requests.bytesInFlight + min(extent.lengthBytes, zeroing.zeros.sizeBytes) <= options.bytesInFlightMax
    }

    /// It is read back with all others.
    package mutating func keepFound(_ extent: DecodedExtent) { readBack?.keep(extent) }

    /// Starts the extent at `index`, and merges adjacent zeros into one request. Sets `index` to the last one started.
    package mutating func start(_ extents: [DecodedExtent], _ index: inout Int) {
        let first = index
        if let memory = extents[index].memory {
            requests.submit(
                DiskRequest(
                    operation: .write, offset: extents[index].deviceOffset, buffer: memory.ring.buffer,
                    bufferOffset: memory.ringOffset, lengthBytes: extents[index].lengthBytes, tag: 0),
                for: .extent(extents[index]))
        } else {
            startZeroing(mergeZeros(extents, from: &index))
        }
        for extent in extents[first...index] { readBack?.keep(extent) }
    }

    /// The range of zeros that starts at `extents[index]` and covers the extents that continue it; sets `index` to the last of
    /// them. Counts all but the first.
    private mutating func mergeZeros(_ extents: [DecodedExtent], from index: inout Int) -> Range<UInt64> {
        let start = extents[index].deviceOffset
        var end = extents[index].deviceEnd
        while index + 1 < extents.count, case let next = extents[index + 1], next.isZero, next.deviceOffset == end,
            next.deviceEnd - start <= UInt64(ZeroFallback.rangeBytesMax),
            account.add(next.deviceOffset..<next.deviceEnd) == nil
        {
            end = next.deviceEnd
            index += 1
        }
        return start..<end
    }

    private mutating func startZeroing(_ range: Range<UInt64>) {
        let request = zeroing.request(for: range)
        if let method = zeroing.method {
            requests.submit(request, for: .zeroing(method))
        } else {
            requests.submit(request, for: .zeroFill(bytesLeft: range.count - request.lengthBytes))
        }
    }

    package mutating func reap(_ counters: TransferCounters, isStopping: Bool) {
        requests.reap(until: .after(seconds: tickSeconds), into: &ended)
        for end in ended { finish(end, counters, isStopping: isStopping || firstError != nil) }
        ended.removeAll(keepingCapacity: true)
    }

    private mutating func finish(
        _ end: RequestTable<Queue, Purpose>.Ended, _ counters: TransferCounters, isStopping: Bool
    ) {
        let isDone = end.outcome == .done
        switch end.purpose {
        case .extent(let extent):
            if isDone { counters.writtenBytes.wrappingAdd(UInt64(end.lengthBytes), ordering: .relaxed) }
            extent.release()
        case .zeroing(let method):
            if isDone { counters.zeroedBytes.wrappingAdd(UInt64(end.lengthBytes), ordering: .relaxed) }
            guard end.outcome == .unsupported else { return }
            zeroing.next(after: method)
            if !isStopping { startZeroing(end.offset..<end.offset + UInt64(end.lengthBytes)) }
        case .zeroFill(let bytesLeft):
            guard isDone else { return }
            counters.writtenBytes.wrappingAdd(UInt64(end.lengthBytes), ordering: .relaxed)
            guard bytesLeft > 0, !isStopping else { return }
            let start = end.offset + UInt64(end.lengthBytes)
            startZeroing(start..<start + UInt64(bytesLeft))
        case .readBack, nil: preconditionFailure("a read or a single request among what is written")
        }
    }

    /// Reads back everything that was written. Must be called after it is flushed.
    mutating func readBackAll(stop: Cancellation, tick: (DiskActivity) -> Void) throws(StreamFault) {
        options.dropCache()
        try readBack?.run(through: &requests, stop: stop, tick: tick)
        precondition(readBack?.comparedBytes == account.totalBytes, "a proof over bytes that were not read")
    }
}
