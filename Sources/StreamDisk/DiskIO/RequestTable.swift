import Glibc

/// What the disk is doing, told several times a second on the thread that works with it.
package struct DiskActivity: Sendable {
    package var bytesInFlight = 0
    /// Time since it last completed a request; 0 if none is outstanding.
    var silenceSeconds = 0.0
    /// Bytes read and compared so far.
    var comparedBytes: UInt64 = 0
}

/// The requests in flight on a run's targets. Submits them to the queue, checks every completion, resubmits interrupted
/// requests and the remainder of short ones, and keeps the first error.
///
/// Used only on the thread that created it. Finished requests are returned with their purpose; their buffers must not be reused
/// before.
struct RequestTable<Queue: DiskQueue & ~Copyable, Purpose>: ~Copyable {
    /// Limit of EINTR and EAGAIN results per request. Beyond it they are an error.
    private static var interruptionsMax: Int { 1000 }

    enum Outcome {
        case done
        /// `firstError` holds this error or an earlier one.
        case failed
        /// The device does not support this way of zeroing. Not an error: `ZeroFallback` has others.
        case unsupported
    }

    /// A request that has finished.
    struct Ended {
        let outcome: Outcome
        /// Nil for single requests.
        let purpose: Purpose?
        /// The originally requested range.
        let offset: UInt64
        let lengthBytes: Int
    }

    private struct InFlight {
        /// The request as submitted: file and byte offset instead of an address.
        var request: DiskRequest
        let purpose: Purpose?
        /// The originally requested offset; a short transfer advances `request`.
        let offset: UInt64
        let lengthBytes: Int
        var interruptions = 0
    }

    let disk: DiskGeometry
    /// How often the caller is called back while this waits for the disk.
    let tickSeconds: Double
    /// For single requests.
    let scratch: DirectBuffer
    private var queue: Queue
    private var table: [InFlight?]
    private var freeIndices: [Int]
    private var generation: UInt32 = 0
    private var completions: [DiskCompletion] = []
    private var lastCompletion = Instant.now

    private(set) var bytesInFlight = 0
    private(set) var requestsInFlight = 0
    private(set) var zeroingInFlight = 0
    private(set) var firstError: DiskIOError?

    init(queue: consuming Queue, disk: DiskGeometry, tickSeconds: Double = 0.2) throws(StreamFault) {
        scratch = try DirectBuffer.reserved(sizeBytes: 1 << 20)
        self.disk = disk
        self.tickSeconds = tickSeconds
        table = Array(repeating: nil, count: queue.capacity)
        freeIndices = Array((0..<queue.capacity).reversed())
        completions.reserveCapacity(queue.capacity)
        self.queue = queue
    }

    var engineName: String { queue.engineName }
    var waker: any QueueWaker { queue.waker }
    var hasFreeRequest: Bool { !freeIndices.isEmpty }
    /// For how long the disk has completed no request, in seconds; 0 if none is outstanding.
    var silenceSeconds: Double { requestsInFlight == 0 ? 0 : Instant.now.seconds(since: lastCompletion) }

    mutating func submit(_ request: DiskRequest, for purpose: Purpose?) {
        let file = disk.index(at: request.offset)
        let addresses = disk.targets[file].addresses
        precondition(request.offset <= addresses.upperBound)
        precondition(UInt64(request.lengthBytes) <= addresses.upperBound - request.offset)
        precondition(request.offset % UInt64(disk.blockBytes) == 0 && request.lengthBytes % disk.blockBytes == 0)
        precondition(request.lengthBytes > 0 || request.operation.isFlush)
        guard let index = freeIndices.popLast() else { preconditionFailure("more requests than capacity") }
        if requestsInFlight == 0 { lastCompletion = .now }
        generation &+= 1
        var tagged = request
        tagged.tag = UInt64(generation) << 32 | UInt64(index)
        tagged.file = file
        tagged.offset = request.offset - addresses.lowerBound
        table[index] = InFlight(
            request: tagged, purpose: purpose, offset: request.offset, lengthBytes: request.lengthBytes)
        bytesInFlight += request.bytesToMove
        if request.operation.isZeroing { zeroingInFlight += 1 }
        requestsInFlight += 1
        queue.submit(tagged)
    }

    /// Waits for completions, a wake or `deadline`, and appends finished requests to `ended`.
    mutating func reap(until deadline: Instant, into ended: inout [Ended]) {
        queue.reap(until: deadline, into: &completions)
        if completions.isEmpty { return }
        lastCompletion = .now
        for completion in completions { if let end = complete(completion) { ended.append(end) } }
        completions.removeAll(keepingCapacity: true)
    }

    /// Returns the first error and clears it.
    mutating func takeFirstError() -> DiskIOError? { firstError.take() }

    /// Nil if the request continues.
    private mutating func complete(_ completion: DiskCompletion) -> Ended? {
        let index = Int(completion.tag & 0xffff_ffff)
        guard index < table.count, var record = table[index], record.request.tag == completion.tag else {
            preconditionFailure("a completion of a request that is not in flight")
        }
        let request = record.request
        switch completion.result {
        case .failure(let error)
        where (error.code == EINTR || error.code == EAGAIN)
            && record.interruptions < Self.interruptionsMax:
            record.interruptions += 1
            table[index] = record
            queue.submit(request)
            return nil
        case .failure(let error) where request.operation.isZeroing && error.saysZeroingIsUnsupported:
            return end(index, record, .unsupported)
        case .failure(let error):
            keep(error, of: request)
            return end(index, record, .failed)
        case .success(let moved) where moved < request.bytesToMove:
            // Short transfer: resubmits the remainder from a block boundary, with memory and offset advanced alike.
            let whole = max(moved, 0) / disk.blockBytes * disk.blockBytes
            guard whole > 0 else {
                keep(SystemError(EIO), of: request)
                return end(index, record, .failed)
            }
            record.request.offset += UInt64(whole)
            record.request.bufferOffset += whole
            record.request.lengthBytes -= whole
            bytesInFlight -= whole
            table[index] = record
            queue.submit(record.request)
            return nil
        case .success:
            return end(index, record, .done)
        }
    }

    private mutating func end(_ index: Int, _ record: InFlight, _ outcome: Outcome) -> Ended {
        table[index] = nil
        freeIndices.append(index)
        bytesInFlight -= record.request.bytesToMove
        if record.request.operation.isZeroing { zeroingInFlight -= 1 }
        requestsInFlight -= 1
        return Ended(
            outcome: outcome, purpose: record.purpose, offset: record.offset, lengthBytes: record.lengthBytes)
    }

    private mutating func keep(_ error: SystemError, of request: DiskRequest) {
        guard firstError == nil else { return }
        let operation: DiskIOError.Operation =
            switch request.operation {
            case .write: .write
            case .read: .read
            case .flush: .flush
            case .zero: .zero
            }
        let isTransfer = !request.operation.isFlush
        firstError = DiskIOError(
            operation, path: disk.targets[request.file].path, offset: isTransfer ? request.offset : nil,
            lengthBytes: isTransfer ? request.lengthBytes : nil, cause: error)
    }
}

extension DiskRequest.Operation {
    var isFlush: Bool { if case .flush = self { true } else { false } }
    var isWrite: Bool { if case .write = self { true } else { false } }
    var isZeroing: Bool { if case .zero = self { true } else { false } }
}

extension DiskRequest {
    /// How many bytes a completion must report as moved.
    var bytesToMove: Int { operation.isFlush || operation.isZeroing ? 0 : lengthBytes }
}

extension SystemError {
    /// The errors of fallocate(2) if the file system or device does not support the mode.
    fileprivate var saysZeroingIsUnsupported: Bool {
        [EOPNOTSUPP, ENOSYS, EINVAL, ENOTTY, ENODEV, EPERM].contains(code)
    }
}
