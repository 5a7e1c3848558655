import Glibc

@testable import StreamDisk
@testable import TestSupport

/// A disk in memory behind the library's own seam: completes requests late, out of order, in part or not at all, by a seed,
/// and remembers everything that was asked of it.
///
/// The queue belongs to the thread of the writer; what happened is in its `SimulatedMedium`, to be looked at afterwards.
struct SimulatedQueue: DiskQueue, ~Copyable {
    let engineName = "simulated"
    let capacity: Int
    var waker: any QueueWaker { bell }

    private let medium: SimulatedMedium
    private let faults: SimulatedFaults
    private let bell = Bell()
    private var random: SplitMix64
    private var outstanding: [Outstanding] = []
    /// Where the next request stands, the resubmitted ones counted too.
    private var place = SimulatedFaults.Place()

    private struct Outstanding {
        let request: DiskRequest
        let event: Int
        /// What the memory held when the request was made: it may not change before the completion.
        let bytes: [UInt8]
        let outcome: SimulatedFaults.Outcome
        /// For what a failed write leaves behind.
        let seed: UInt64
    }

    private final class Bell: QueueWaker {
        let rung = Monitor(false)
        func wake() { rung.mutateAndNotify { $0 = true } }
    }

    init(_ medium: SimulatedMedium, capacity: Int = 16, seed: UInt64 = 0, faults: SimulatedFaults = .none) {
        self.medium = medium
        self.capacity = capacity
        self.faults = faults
        random = SplitMix64(state: seed)
    }

    mutating func submit(_ request: DiskRequest) {
        let bytes: [UInt8]
        switch (request.operation, request.buffer) {
        case (.write, let buffer?): bytes = buffer.bytes(request.bufferOffset, count: request.lengthBytes)
        case (.read, .some): bytes = []
        case (.flush, _): bytes = []
        case (.zero, _): bytes = [UInt8](repeating: 0, count: request.lengthBytes)
        case (_, nil): fatalError("a transfer without memory")
        }
        medium.note(request, capacity: capacity, outstanding: outstanding.map(\.request))
        let outcome = faults.outcome(of: request, at: place, &random)
        place.advance(over: request)
        let event = medium.submitted(request, bytes: bytes)
        outstanding.append(
            Outstanding(request: request, event: event, bytes: bytes, outcome: outcome, seed: random.next()))
    }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        guard !outstanding.isEmpty else {
            _ = bell.rung.wait(until: deadline) { rung -> Bool? in
                defer { rung = false }
                return rung ? true : nil
            }
            return
        }
        // None, although there was no reason to come back; or some of them, any of them. The others stay for another time.
        if Int.random(in: 0..<8, using: &random) == 0 { return }
        for _ in 0..<Int.random(in: 1...outstanding.count, using: &random) {
            let done = outstanding.remove(at: Int.random(in: 0..<outstanding.count, using: &random))
            completions.append(DiskCompletion(tag: done.request.tag, result: complete(done)))
        }
    }

    private func complete(_ done: Outstanding) -> Result<Int, SystemError> {
        let request = done.request
        if request.operation.isWrite, memory(of: request) != done.bytes {
            medium.violations.append("the memory of \(request.offset)+\(request.lengthBytes) changed before its completion")
        }
        switch done.outcome {
        case .all:
            medium.completed(done.event, movedBytes: request.lengthBytes)
            fill(request, count: request.lengthBytes)
            return .success(request.bytesToMove)
        case .short(let count):
            medium.completed(done.event, movedBytes: count)
            fill(request, count: count)
            return .success(count)
        case .failure(let code):
            let isNothingDone = [EINTR, EAGAIN, EOPNOTSUPP].contains(code)
            medium.failed(done.event, isPartlyDone: !isNothingDone, seed: done.seed)
            return .failure(SystemError(code))
        }
    }

    private func memory(of request: DiskRequest) -> [UInt8] {
        request.buffer.map { $0.bytes(request.bufferOffset, count: request.lengthBytes) } ?? []
    }

    private func fill(_ request: DiskRequest, count: Int) {
        guard request.operation == .read, let buffer = request.buffer else { return }
        let start = Int(request.offset)
        buffer.write(Array(medium.bytes[start..<start + count]), at: request.bufferOffset)
    }
}

/// What goes wrong, request by request.
struct SimulatedFaults: Sendable {
    enum Outcome: Equatable {
        case all
        /// So many bytes of it.
        case short(Int)
        /// This errno.
        case failure(Int32)
    }

    /// Where in a run a request stands.
    struct Place: Equatable {
        /// Its number, from 0 on.
        var number = 0
        /// Flushes handed over before it, and requests since the last of them.
        var flushes = 0
        var sinceFlush = 0

        mutating func advance(over request: DiskRequest) {
            number += 1
            if request.operation.isFlush { (flushes, sinceFlush) = (flushes + 1, 0) } else { sinceFlush += 1 }
        }
    }

    typealias Decide = @Sendable (_ request: DiskRequest, _ place: Place, _ random: inout SplitMix64) -> Outcome
    private let decide: Decide

    init(_ decide: @escaping Decide) { self.decide = decide }

    static let none = SimulatedFaults { _, _, _ in .all }

    /// Every third transfer comes back short on a block, a byte past a block, or interrupted, and only the first so many
    /// methods of zeroing are known; all of it can be made good.
    static func survivable(blockBytes: Int, zeroMethods: Int = 2) -> SimulatedFaults {
        SimulatedFaults { request, _, random in
            if case .zero(let method) = request.operation, !ZeroMethod.allCases.prefix(zeroMethods).contains(method) {
                return .failure(EOPNOTSUPP)
            }
            switch (Int.random(in: 0..<9, using: &random), request.operation) {
            case (0, _): return .failure(EINTR)
            case (1, _): return .failure(EAGAIN)
            case (2...3, .write), (2...3, .read):
                let blocks = request.lengthBytes / blockBytes
                guard blocks > 1 else { return .all }
                let odd = Bool.random(using: &random) ? Int.random(in: 0..<blockBytes, using: &random) : 0
                return .short(Int.random(in: 1..<blocks, using: &random) * blockBytes + odd)
            default: return .all
            }
        }
    }

    /// As above, until the request with this number fails for good; with `isGone` every one that follows it too.
    static func hard(_ number: Int, _ code: Int32, isGone: Bool, blockBytes: Int) -> SimulatedFaults {
        let others = survivable(blockBytes: blockBytes)
        return SimulatedFaults { request, place, random in
            if isGone ? place.number >= number : place.number == number { return .failure(code) }
            return others.decide(request, place, &random)
        }
    }

    /// The request with this number, from 0 on, fails.
    static func only(_ number: Int, _ outcome: Outcome) -> SimulatedFaults {
        SimulatedFaults { _, place, _ in place.number == number ? outcome : .all }
    }

    /// The request that is so many behind the so many-th flush fails.
    static func after(flushes: Int, _ sinceFlush: Int, _ outcome: Outcome) -> SimulatedFaults {
        SimulatedFaults { _, place, _ in
            place.flushes == flushes && place.sinceFlush == sinceFlush ? outcome : .all
        }
    }

    /// The so many-th flush fails.
    static func flush(_ number: Int, _ outcome: Outcome) -> SimulatedFaults {
        SimulatedFaults { request, place, _ in
            request.operation.isFlush && place.flushes == number ? outcome : .all
        }
    }

    func outcome(of request: DiskRequest, at place: Place, _ random: inout SplitMix64) -> Outcome {
        decide(request, place, &random)
    }
}

/// The bytes of a simulated disk, and the journal of all that was asked of it: enough to say, for every moment, what a power
/// cut could have left.
final class SimulatedMedium {
    /// What the disk held before the first request.
    let before: [UInt8]
    let blockBytes: Int
    /// What a read finds now.
    private(set) var bytes: [UInt8]
    fileprivate(set) var journal: [Event] = []
    /// Broken rules, in words; a test expects none.
    var violations: [String] = []
    private(set) var bytesInFlightMax = 0
    private(set) var requestsInFlightMax = 0

    enum Event {
        case submitted(Submission)
        /// Of the submission at that place of the journal; so many bytes were moved.
        case completed(Int, movedBytes: Int)
        /// It failed, and these blocks of it were written all the same; nil where nothing at all was done, not a try.
        case failed(Int, blocks: [Int]?)
    }

    struct Submission {
        let operation: DiskRequest.Operation
        let offset: UInt64
        let bytes: [UInt8]
    }

    init(_ bytes: [UInt8], blockBytes: Int = 512) {
        precondition(bytes.count % blockBytes == 0)
        before = bytes
        self.bytes = bytes
        self.blockBytes = blockBytes
    }

    /// Writes and flushes in the order in which they were first handed over, for comparing with what was meant.
    var operations: [String] {
        journal.compactMap { event in
            guard case .submitted(let submission) = event else { return nil }
            return switch submission.operation {
            case .flush: "flush"
            case .write: "write \(submission.offset)+\(submission.bytes.count)"
            case .read: "read \(submission.offset)"
            case .zero: "zero \(submission.offset)+\(submission.bytes.count)"
            }
        }
    }

    /// In words, of the write or flush that the event belongs to.
    func description(of event: Event) -> String {
        switch event {
        case .submitted(let submission): "\(submission.operation) \(submission.offset)+\(submission.bytes.count)"
        case .completed(let place, let moved): "completed, \(moved) bytes: \(description(of: journal[place]))"
        case .failed(let place, _): "failed: \(description(of: journal[place]))"
        }
    }

    // MARK: From the queue

    fileprivate func note(_ request: DiskRequest, capacity: Int, outstanding: [DiskRequest]) {
        let inFlight = outstanding + [request]
        bytesInFlightMax = max(bytesInFlightMax, inFlight.reduce(0) { $0 + $1.bytesToMove })
        requestsInFlightMax = max(requestsInFlightMax, inFlight.count)
        let place = "\(request.operation) \(request.offset)+\(request.lengthBytes)"
        if inFlight.count > capacity { violations.append("\(place): more requests than capacity") }
        if outstanding.contains(where: { $0.tag == request.tag }) { violations.append("\(place): its tag is in flight") }
        if request.operation == .flush { return }
        if request.offset % UInt64(blockBytes) != 0 || request.lengthBytes % blockBytes != 0
            || request.bufferOffset % blockBytes != 0 || request.lengthBytes == 0
        {
            violations.append("\(place): not in whole blocks")
        }
        if request.offset > UInt64(bytes.count) || UInt64(request.lengthBytes) > UInt64(bytes.count) - request.offset {
            violations.append("\(place): past the end")
        }
        for other in outstanding where other.operation != .flush {
            let (end, otherEnd) = (
                request.offset + UInt64(request.lengthBytes), other.offset + UInt64(other.lengthBytes)
            )
            if request.offset < otherEnd && other.offset < end {
                violations.append("\(place): \(other.offset)+\(other.lengthBytes) is still in flight")
            }
        }
    }

    fileprivate func submitted(_ request: DiskRequest, bytes: [UInt8]) -> Int {
        // To the medium, zeroing is a write of zeros.
        let operation = request.operation.isZeroing ? .write : request.operation
        journal.append(.submitted(Submission(operation: operation, offset: request.offset, bytes: bytes)))
        return journal.count - 1
    }

    fileprivate func completed(_ event: Int, movedBytes: Int) {
        journal.append(.completed(event, movedBytes: movedBytes))
        guard case .submitted(let submission) = journal[event], submission.operation == .write else { return }
        let start = Int(submission.offset)
        bytes.replaceSubrange(start..<start + movedBytes, with: submission.bytes[..<movedBytes])
    }

    fileprivate func failed(_ event: Int, isPartlyDone: Bool, seed: UInt64) {
        guard case .submitted(let submission) = journal[event], submission.operation == .write, isPartlyDone else {
            journal.append(.failed(event, blocks: isPartlyDone ? [] : nil))
            return
        }
        var random = SplitMix64(state: seed)
        let blocks = (0..<submission.bytes.count / blockBytes).filter { _ in Bool.random(using: &random) }
        journal.append(.failed(event, blocks: blocks))
        for block in blocks {
            let (from, to) = (block * blockBytes, Int(submission.offset) + block * blockBytes)
            bytes.replaceSubrange(to..<to + blockBytes, with: submission.bytes[from..<from + blockBytes])
        }
    }
}

extension DirectBuffer {
    /// A copy of some of it.
    func bytes(_ offset: Int, count: Int) -> [UInt8] {
        withBytes(offset, count: count) { span in unsafe span.withUnsafeBytes { unsafe Array($0) } }
    }

    func write(_ bytes: [UInt8], at offset: Int) { copy(unsafe bytes.span.bytes, to: offset) }
}
