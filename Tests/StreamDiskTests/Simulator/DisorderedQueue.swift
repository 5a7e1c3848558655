@testable import StreamDisk
@testable import TestSupport

/// A mistake in the order of writes, made on purpose between a right writer and a right disk: to see that the simulator finds it.
struct Disorder: Sendable {
    enum Action {
        case pass
        /// Said to be done, and never done.
        case pretend
        /// Said to be done, and done just before the so many-th flush.
        case hold(untilFlush: Int)
        /// Other bytes go first.
        case precede(offset: UInt64, bytes: [UInt8])
    }

    /// What comes of a request at its place of the run.
    var action: (@Sendable (_ request: DiskRequest, _ place: SimulatedFaults.Place) -> Action)?
    /// Errors and short transfers are taken for success.
    var believesAnything = false

    static let none = Disorder()
    var isNone: Bool { action == nil && !believesAnything }
}

struct DisorderedQueue: DiskQueue, ~Copyable {
    let engineName = "simulated"
    let capacity: Int
    var waker: any QueueWaker { disk.waker }

    private var disk: SimulatedQueue
    private let disorder: Disorder
    private var place = SimulatedFaults.Place()
    private var pretended: [DiskCompletion] = []
    private var held: [(flush: Int, request: DiskRequest)] = []
    /// What the writer waits for, with the bytes that it wants to hear of.
    private var awaited: [UInt64: Int] = [:]
    private var lastFlush: UInt64?
    private var ownTag = UInt64.max

    init(_ disk: consuming SimulatedQueue, _ disorder: Disorder) {
        capacity = disk.capacity
        self.disk = disk
        self.disorder = disorder
    }

    mutating func submit(_ request: DiskRequest) {
        // A flush that was interrupted and comes again is no other flush.
        if request.operation.isFlush, lastFlush == request.tag {
            awaited[request.tag] = 0
            return disk.submit(request)
        }
        if request.operation.isFlush { lastFlush = request.tag }
        let action = disorder.action?(request, place) ?? .pass
        if request.operation.isFlush {
            for (_, late) in held.filter({ $0.flush <= place.flushes }) { disk.submit(late) }
            held.removeAll { $0.flush <= place.flushes }
        }
        place.advance(over: request)
        switch action {
        case .pass:
            break
        case .pretend:
            return pretended.append(DiskCompletion(tag: request.tag, result: .success(request.bytesToMove)))
        case .hold(let flush):
            pretended.append(DiskCompletion(tag: request.tag, result: .success(request.bytesToMove)))
            let bytes = request.buffer?.bytes(request.bufferOffset, count: request.lengthBytes)
            held.append((flush, own(request.offset, bytes ?? [UInt8](repeating: 0, count: request.lengthBytes))))
            return
        case .precede(let offset, let bytes):
            disk.submit(own(offset, bytes))
        }
        awaited[request.tag] = request.bytesToMove
        disk.submit(request)
    }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        if !pretended.isEmpty {
            completions += pretended
            return pretended.removeAll()
        }
        var found: [DiskCompletion] = []
        disk.reap(until: deadline, into: &found)
        for completion in found {
            guard let moved = awaited.removeValue(forKey: completion.tag) else { continue }
            completions.append(
                disorder.believesAnything ? DiskCompletion(tag: completion.tag, result: .success(moved)) : completion)
        }
    }

    /// A write that the writer does not know of.
    private mutating func own(_ offset: UInt64, _ bytes: [UInt8]) -> DiskRequest {
        guard let buffer = try? DirectBuffer.reserved(sizeBytes: bytes.count) else { fatalError("no memory") }
        buffer.write(bytes, at: 0)
        ownTag -= 1
        return DiskRequest(
            operation: .write, offset: offset, buffer: buffer, bufferOffset: 0, lengthBytes: bytes.count, tag: ownTag)
    }
}
