import Glibc

/// What the writer must know of the disk; the rest stays behind the `DiskQueue`.
struct DiskGeometry: Sendable {
    let path: String
    let sizeBytes: UInt64
    /// Offsets and lengths of every request are multiples of it.
    let blockBytes: Int
}

/// What a writer compares with the disk.
enum DiskCheck: Sendable {
    case nothing
    /// What it wrote, when all of it is flushed, against checksums kept while writing.
    case whatWasWritten
    /// What it would write, and writes nothing.
    case insteadOfWriting
}

/// The one that talks to the disk: keeps a bounded number of requests in flight, looks at every completion, resubmits the
/// rest of short ones, and keeps the first error.
///
/// It belongs to the thread that made it. No buffer is let go before its completion was reaped.
struct DiskWriter<Queue: DiskQueue & ~Copyable>: ~Copyable {
    /// Writes in flight are bounded in bytes: a slow device must not collect minutes of work.
    var bytesInFlightMax = 16 << 20
    /// EINTR and EAGAIN for one request; past that they are an error like any other.
    private static var interruptionsMax: Int { 1000 }
    /// Zeroing is little work for the caller and much for some devices; what waits is merged meanwhile.
    private static var zeroingInFlightMax: Int { 4 }
    /// Forgets what a page cache has of the disk, where there is one between: called before anything is read back.
    var dropCache: @Sendable () -> Void = {}
    /// How often the caller hears of progress while the writer waits.
    var tickSeconds = 0.2

    private struct InFlight {
        var request: DiskRequest
        var generation: UInt32
        var slot: SlotWrite?
        var read: DiskRead?
        /// Zeros still to be written behind this request, where the device zeroes nothing itself.
        var zeroBytesLeft = 0
        var interruptions = 0
    }

    let disk: DiskGeometry
    let check: DiskCheck
    /// Nil where nothing is checked.
    var comparison: DiskComparison?
    /// What was started of all that came through the inbox.
    private(set) var account = ExtentAccount()
    private var queue: Queue
    private var table: [InFlight?]
    private var freeIndices: [Int]
    private var generation: UInt32 = 0
    private var completions: [DiskCompletion] = []
    private(set) var bytesInFlight = 0
    private(set) var requestsInFlight = 0
    private(set) var firstError: DeviceError?
    private var lastCompletion = Instant.now
    /// For what does not come from a slot: tables, and what is read back.
    private let scratch: DirectBuffer

    /// Zeros, for devices that do not zero by themselves. Never written to.
    let zeros: DirectBuffer
    /// The method in use, of `ZeroMethod.allCases`; past the last, zeros are written. It only ever goes up.
    var zeroRung = 0
    private var zeroingInFlight = 0
    /// The run failed or was cancelled: what is in flight is drained, and nothing follows it.
    private var isStopping = false

    init(queue: consuming Queue, disk: DiskGeometry, check: DiskCheck = .nothing) throws(StreamFault) {
        let buffers = (
            try DirectBuffer.reserved(sizeBytes: 1 << 20), try DirectBuffer.reserved(sizeBytes: 1 << 20)
        )
        comparison = check == .nothing ? nil : try DiskComparison()
        (scratch, zeros) = buffers
        self.check = check
        self.disk = disk
        table = Array(repeating: nil, count: queue.capacity)
        freeIndices = Array((0..<queue.capacity).reversed())
        completions.reserveCapacity(queue.capacity)
        self.queue = queue
    }

    var engineName: String { queue.engineName }
    var waker: any QueueWaker { queue.waker }

    var hasFreeRequest: Bool { !freeIndices.isEmpty }

    /// How long the disk has left requests unanswered, in seconds; 0 when it has none.
    var silenceSeconds: Double { requestsInFlight == 0 ? 0 : Instant.now.seconds(since: lastCompletion) }

    // MARK: Streaming

    /// Writes what comes through `inbox`, or compares it with the disk, until every lane has ended and every request was
    /// reaped.
    ///
    /// After the first device error nothing more is started: it stops the run, and what is in flight is drained. The same goes
    /// for a piece that comes a second time, in whole or in part, which is not started.
    ///
    /// - Parameter zeroing: ranges that are zeroed first, none longer than a slot.
    mutating func drain(
        _ inbox: WriteInbox, zeroing: [Range<UInt64>] = [], run: RunState, tick: (borrowing Self) -> Void
    ) {
        var pieces = zeroing.map { range in
            SlotWrite(memory: nil, lengthBytes: range.count, deviceOffset: range.lowerBound)
        }
        var lastTick = Instant.now
        while true {
            let lanesAtWork = inbox.take(into: &pieces)
            isStopping = firstError != nil || run.stop.isCancelled
            var next = 0
            while next < pieces.count {
                let piece = pieces[next]
                if isStopping {
                    letGo(of: piece)
                } else if !hasRoom(for: piece) {
                    break
                } else if let twice = account.add(piece.deviceOffset..<piece.deviceEnd) {
                    run.fail(.image("decoded data", "two frames hold the bytes from \(twice.lowerBound) of the disk on"))
                    isStopping = true
                    continue
                } else {
                    start(pieces, &next)
                }
                next += 1
            }
            // Where the disk is the slower one, something is always left over: what was started must go all the same.
            pieces.removeFirst(next)
            if pieces.isEmpty && !lanesAtWork && requestsInFlight == 0 { return }
            // With work left over there is no room: only a completion helps, so the lanes need not wake us.
            let isFull = !pieces.isEmpty
            if isFull || inbox.willWait() {
                let start = Instant.now
                reap(until: .after(seconds: tickSeconds), counters: run.counters)
                run.counters.write.addWait(since: start, forOutput: isFull)
            }
            if let error = firstError { run.fail(.device(error)) }
            if Instant.now.seconds(since: lastTick) >= tickSeconds {
                lastTick = .now
                tick(self)
            }
        }
    }

    private func hasRoom(for piece: SlotWrite) -> Bool {
        if freeIndices.isEmpty { return false }
        if check == .insteadOfWriting { return comparison?.hasFreeChunk ?? false }
        if requestsInFlight == 0 { return true }
        if piece.isZero && zeroRung < ZeroMethod.allCases.count { return zeroingInFlight < Self.zeroingInFlightMax }
        return bytesInFlight + min(piece.lengthBytes, zeros.sizeBytes) <= bytesInFlightMax
    }

    /// Starts the piece at `index`; `index` is then the last one that was started.
    private mutating func start(_ pieces: [SlotWrite], _ index: inout Int) {
        let first = index
        if check == .insteadOfWriting {
            startRead(.piece(pieces[index]))
        } else {
            start(pieces[index].isZero ? mergeZeros(pieces, from: &index) : pieces[index])
            for piece in pieces[first...index] { comparison?.keep(piece) }
        }
    }

    private func letGo(of piece: SlotWrite) {
        if let memory = piece.memory { memory.ring.writeEnded(slot: memory.slot) }
    }

    /// The run of zeros that begins at `pieces[index]`, over as many pieces as continue it; `index` is then the last of them.
    /// All but the first are counted here.
    private mutating func mergeZeros(_ pieces: [SlotWrite], from index: inout Int) -> SlotWrite {
        var merged = pieces[index]
        while index + 1 < pieces.count, case let next = pieces[index + 1], next.isZero,
            next.deviceOffset == merged.deviceEnd, merged.lengthBytes + next.lengthBytes <= Self.zeroingBytesMax,
            account.add(next.deviceOffset..<next.deviceEnd) == nil
        {
            merged.lengthBytes += next.lengthBytes
            index += 1
        }
        return merged
    }

    private mutating func start(_ piece: SlotWrite) {
        guard let memory = piece.memory else { return startZeroing(piece.deviceOffset, lengthBytes: piece.lengthBytes) }
        let request = DiskRequest(
            operation: .write, offset: piece.deviceOffset, buffer: memory.ring.buffer, bufferOffset: memory.ringOffset,
            lengthBytes: piece.lengthBytes, tag: 0)
        submit(request, slot: piece)
    }

    // MARK: Single requests

    /// Flushes the device's caches and waits for it.
    mutating func flush(tick: (borrowing Self) -> Void = { _ in }) throws(DeviceError) {
        submit(DiskRequest(operation: .flush, offset: 0, buffer: nil, bufferOffset: 0, lengthBytes: 0, tag: 0), slot: nil)
        try finishAll(tick: tick)
    }

    /// Writes `bytes`, whose length is a multiple of the block size, at `offset`, and waits for it.
    mutating func write(
        _ bytes: [UInt8], at offset: UInt64, tick: (borrowing Self) -> Void = { _ in }
    ) throws(DeviceError) {
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, scratch.sizeBytes)
            scratch.copy(unsafe bytes.span.bytes.extracting(done..<done + count), to: 0)
            let request = DiskRequest(
                operation: .write, offset: offset + UInt64(done), buffer: scratch, bufferOffset: 0, lengthBytes: count,
                tag: 0)
            submit(request, slot: nil)
            try finishAll(tick: tick)
            done += count
        }
    }

    /// Compares `bytes`, whose length is a multiple of the block size, with what the disk has at `offset`. Returns where on the
    /// disk they differ, from the first byte to the last; nil where they do not.
    mutating func difference(
        from bytes: [UInt8], at offset: UInt64, tick: (borrowing Self) -> Void = { _ in }
    ) throws(DeviceError) -> Range<UInt64>? {
        var found: Range<UInt64>?
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, scratch.sizeBytes)
            let start = offset + UInt64(done)
            let request = DiskRequest(
                operation: .read, offset: start, buffer: scratch, bufferOffset: 0, lengthBytes: count, tag: 0)
            submit(request, slot: nil)
            try finishAll(tick: tick)
            let expected = unsafe bytes.span.bytes.extracting(done..<done + count)
            if let differing = scratch.difference(0, from: expected) {
                found = (found?.lowerBound ?? start + UInt64(differing.lowerBound))..<start + UInt64(differing.upperBound)
            }
            done += count
        }
        return found
    }

    /// Waits for everything in flight; throws the first error, which then is forgotten.
    mutating func finishAll(tick: (borrowing Self) -> Void) throws(DeviceError) {
        while requestsInFlight > 0 {
            reap(until: .after(seconds: tickSeconds), counters: nil)
            tick(self)
        }
        if let error = firstError {
            firstError = nil
            throw error
        }
    }

    // MARK: Requests and completions

    mutating func submit(_ request: DiskRequest, slot: SlotWrite?, read: DiskRead? = nil, zeroBytesLeft: Int = 0) {
        precondition(request.offset <= disk.sizeBytes)
        precondition(UInt64(request.lengthBytes) <= disk.sizeBytes - request.offset)
        precondition(request.offset % UInt64(disk.blockBytes) == 0 && request.lengthBytes % disk.blockBytes == 0)
        precondition(request.lengthBytes > 0 || request.operation.isFlush)
        guard let index = freeIndices.popLast() else { preconditionFailure("more requests than capacity") }
        if requestsInFlight == 0 { lastCompletion = .now }
        generation &+= 1
        var tagged = request
        tagged.tag = UInt64(generation) << 32 | UInt64(index)
        table[index] = InFlight(
            request: tagged, generation: generation, slot: slot, read: read, zeroBytesLeft: zeroBytesLeft)
        bytesInFlight += request.bytesToMove
        if request.operation.isZeroing { zeroingInFlight += 1 }
        requestsInFlight += 1
        queue.submit(tagged)
    }

    mutating func reap(until deadline: Instant, counters: Counters?) {
        queue.reap(until: deadline, into: &completions)
        if completions.isEmpty { return }
        lastCompletion = .now
        for completion in completions { complete(completion, counters: counters) }
        completions.removeAll(keepingCapacity: true)
    }

    private mutating func complete(_ completion: DiskCompletion, counters: Counters?) {
        let index = Int(completion.tag & 0xffff_ffff)
        guard index < table.count, var record = table[index], record.request.tag == completion.tag else {
            preconditionFailure("a completion of a request that is not in flight")
        }
        let request = record.request
        var isDone = true
        switch completion.result {
        case .failure(let error) where (error.code == EINTR || error.code == EAGAIN)
            && record.interruptions < Self.interruptionsMax:
            record.interruptions += 1
            table[index] = record
            queue.submit(request)
            return
        case .failure(let error):
            if request.operation.isZeroing, let next = nextRung(after: request, error: error) {
                forget(index, record)
                // A device that does not zero has not failed, also when it is too late for another way.
                if !isStopping { startZeroing(next.offset, lengthBytes: next.lengthBytes) }
                return
            }
            isDone = false
            note(error, of: request)
        case .success(let moved) where moved < request.bytesToMove:
            // Short: the rest again, from a block boundary, memory and position moved alike.
            let whole = max(moved, 0) / disk.blockBytes * disk.blockBytes
            guard whole > 0 else {
                isDone = false
                note(SystemError(EIO), of: request)
                break
            }
            record.request.offset += UInt64(whole)
            record.request.bufferOffset += whole
            record.request.lengthBytes -= whole
            bytesInFlight -= whole
            if request.operation.isWrite { counters?.writtenBytes.wrappingAdd(UInt64(whole), ordering: .relaxed) }
            table[index] = record
            queue.submit(record.request)
            return
        case .success:
            if request.operation.isZeroing {
                counters?.zeroedBytes.wrappingAdd(UInt64(request.lengthBytes), ordering: .relaxed)
            } else if request.operation.isWrite {
                counters?.writtenBytes.wrappingAdd(UInt64(request.lengthBytes), ordering: .relaxed)
            }
            if record.zeroBytesLeft > 0, !isStopping, firstError == nil {
                forget(index, record)
                startZeroing(request.offset + UInt64(request.lengthBytes), lengthBytes: record.zeroBytesLeft)
                return
            }
        }
        forget(index, record)
        if let read = record.read { comparison?.end(read, isRead: isDone) }
        if let piece = record.slot { letGo(of: piece) }
    }

    /// Takes a finished request out of the table.
    private mutating func forget(_ index: Int, _ record: InFlight) {
        table[index] = nil
        freeIndices.append(index)
        bytesInFlight -= record.request.bytesToMove
        if record.request.operation.isZeroing { zeroingInFlight -= 1 }
        requestsInFlight -= 1
    }

    private mutating func note(_ error: SystemError, of request: DiskRequest) {
        guard firstError == nil else { return }
        let operation: DeviceError.Operation =
            switch request.operation {
            case .write: .write
            case .read: .read
            case .flush: .flush
            case .zero: .zero
            }
        let isTransfer = !request.operation.isFlush
        firstError = DeviceError(
            operation, path: disk.path, offset: isTransfer ? request.offset : nil,
            lengthBytes: isTransfer ? request.lengthBytes : nil, cause: error)
    }
}
