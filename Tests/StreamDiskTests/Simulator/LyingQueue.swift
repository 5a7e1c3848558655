@testable import StreamDisk
@testable import TestSupport

/// A disk that says yes to every write, and does something else with some of them.
struct LyingQueue: DiskQueue, ~Copyable {
    enum Lie: Sendable, CaseIterable {
        /// One bit of it lands wrong.
        case flip
        /// It never lands.
        case drop
        /// It lands on the next block.
        case elsewhere
        /// Only its first half lands.
        case tear
    }

    let engineName = "lying"
    var capacity: Int { disk.capacity }
    var waker: any QueueWaker { disk.waker }

    private var disk: SimulatedQueue
    private let medium: SimulatedMedium
    private let lie: Lie
    /// Numbers of the writes and zeroings that are not done as asked, in the order in which they are handed over.
    private let victims: Set<Int>
    private var number = 0

    init(_ medium: SimulatedMedium, seed: UInt64 = 0, _ lie: Lie, victims: Set<Int>) {
        disk = SimulatedQueue(medium, capacity: 8, seed: seed)
        self.medium = medium
        self.lie = lie
        self.victims = victims
    }

    mutating func submit(_ request: DiskRequest) {
        guard request.operation.isWrite || request.operation.isZeroing else { return disk.submit(request) }
        defer { number += 1 }
        guard victims.contains(number), let changed = changed(request) else { return disk.submit(request) }
        disk.submit(changed)
    }

    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        disk.reap(until: deadline, into: &completions)
    }

    /// The request that is done in its place; memory of its own, so that the writer's stays as it is.
    private func changed(_ request: DiskRequest) -> DiskRequest? {
        guard let copy = try? DirectBuffer(sizeBytes: request.lengthBytes) else { return nil }
        let old = Array(medium.bytes[Int(request.offset)..<Int(request.offset) + request.lengthBytes])
        let wanted =
            request.buffer?.bytes(request.bufferOffset, count: request.lengthBytes)
            ?? [UInt8](repeating: 0, count: request.lengthBytes)
        var done = request
        (done.buffer, done.bufferOffset, done.operation) = (copy, 0, .write)
        switch lie {
        case .flip:
            copy.write(wanted, at: 0)
            copy.write([wanted[wanted.count / 2] ^ 4], at: wanted.count / 2)
        case .drop: copy.write(old, at: 0)
        case .elsewhere:
            copy.write(wanted, at: 0)
            let isLast = Int(done.offset) + done.lengthBytes + medium.blockBytes > medium.bytes.count
            done.offset = isLast ? done.offset - UInt64(medium.blockBytes) : done.offset + UInt64(medium.blockBytes)
        case .tear:
            let half = wanted.count / 2 / medium.blockBytes * medium.blockBytes
            copy.write(Array(wanted[..<half]) + Array(old[half...]), at: 0)
        }
        return done
    }
}
