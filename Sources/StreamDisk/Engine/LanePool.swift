/// The lanes of a run, dealt out to fetch threads.
final class LanePool: Sendable {
    let lanes: [Lane]
    /// A usual window and what goes with it: larger ones are stated more often than needed.
    private static let populatedBytesMax = 160 << 20
    let limits: LaneLimits
    private let isHeld: Monitor<[Bool]>

    /// - Parameter imageBytes: decompressed sizes of the images, which tell how much of its ring each lane will use.
    init(count: Int, limits: LaneLimits, imageBytes: [UInt64], run: RunState) throws(StreamFault) {
        precondition(count > 0)
        let largest = imageBytes.sorted(by: >)
        var lanes: [Lane] = []
        for index in 0..<count {
            let used = index < largest.count ? limits.ringBytes(contentBytes: largest[index]) : 0
            lanes.append(try Lane(limits: limits, usedRingBytes: used, run: run))
        }
        self.lanes = lanes
        self.limits = limits
        isHeld = Monitor(Array(repeating: false, count: count))
    }

    /// The lane with the least to do that nobody holds. There is one: each fetch thread holds at most one, and there are no
    /// more of them than lanes.
    ///
    /// Of several such, the one whose prepared part of the ring suits `contentBytes` best.
    func acquire(contentBytes: UInt64) -> Lane {
        let wanted = limits.ringBytes(contentBytes: contentBytes)
        return isHeld.withLock { isHeld in
            let free = lanes.indices.filter { !isHeld[$0] }
            guard let index = free.min(by: { lanes[$0].load(wanted) < lanes[$1].load(wanted) }) else {
                preconditionFailure("more fetch threads than lanes")
            }
            isHeld[index] = true
            return lanes[index]
        }
    }

    func release(_ lane: Lane) {
        isHeld.withLock { isHeld in
            for index in lanes.indices where lanes[index] === lane { isHeld[index] = false }
        }
    }

    /// Fetched and not yet decoded, all lanes.
    var waitingBytes: Int { lanes.reduce(0) { $0 + $1.pipe.filledBytes } }

    /// Brings in the pages that the largest image will use, ahead of its decoder: on virtual machines a first touch may cost more
    /// than to decode what goes there. Ends early when the run does.
    func populateFirst(while run: RunState) {
        let stepBytes = 2 * DirectBuffer.hugePageBytes
        guard let buffer = lanes.first?.buffer else { return }
        for offset in stride(from: 0, to: min(buffer.usedBytes, Self.populatedBytesMax), by: stepBytes) {
            if run.stop.isCancelled { return }
            buffer.populate(offset, count: min(stepBytes, buffer.usedBytes - offset))
        }
    }

    /// No more frames will come.
    func end() { for lane in lanes { lane.end() } }

    func stop() { for lane in lanes { lane.stop() } }
}

extension Lane {
    /// For the choice of a lane: frames to do, then bytes, then how far its prepared memory is from what is wanted.
    fileprivate func load(_ wantedRingBytes: Int) -> (Int, Int, Int) {
        let used = buffer.usedBytes
        return (backlog, pipe.filledBytes, used >= wantedRingBytes ? used - wantedRingBytes : Int.max - used)
    }
}
