/// Writes the extents that lanes decode, with a bounded number of bytes in flight.
///
/// It belongs to the thread that made it.
package struct DiskWriter<Queue: DiskQueue & ~Copyable>: ~Copyable, DiskConsumer {
    /// Zeroing is little work for the caller and much for some devices; what waits is merged meanwhile.
    private static var zeroingInFlightMax: Int { 4 }

    /// What a request is for.
    enum Purpose {
        /// Its slot is released when it has ended.
        case extent(DecodedExtent)
        case zeroing(ZeroMethod)
        /// Zeros are written, and so many bytes of the range come after them.
        case zeroFill(bytesLeft: Int)
        case readBack(ReadBack.Read)
    }

    package struct Options {
        /// Writes in flight are bounded in bytes: a slow device must not collect minutes of work.
        var bytesInFlightMax: Int
        var zerosByDevice: Bool
        /// What was written is read back, and the proof `Verified` is given in no other way.
        var readsBack: Bool
        /// Makes the next reads ask the disk, where a page cache lies between.
        var dropCache: @Sendable () -> Void
        /// How often the caller hears of the disk while the writer waits.
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
    /// Nil where nothing is read back.
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

    /// Starts the extent at `index`; `index` is then the last one that was started. Adjacent zeros are started as one.
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

    /// The zeros that begin at `extents[index]`, over as many extents as continue them; `index` is then the last of them. All but
    /// the first are counted here.
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

    /// Reads back what was written. To be called when all of it is flushed.
    mutating func readBackAll(stop: Cancellation, tick: (DiskActivity) -> Void) throws(StreamFault) {
        options.dropCache()
        try readBack?.run(through: &requests, stop: stop, tick: tick)
        precondition(readBack?.comparedBytes == account.totalBytes, "a proof over bytes that were not read")
    }
}
