/// The lanes of a run, dealt out to fetch threads.
final class LanePool: Sendable {
    let lanes: [Lane]
    let limits: LaneLimits
    private let isHeld: Monitor<[Bool]>
    /// What the first frame of all will use: of which ring, and how much from its start. No bytes where there is none.
    private let firstLap = Monitor<(buffer: DirectBuffer, bytes: Int)?>(nil)

    init(count: Int, limits: LaneLimits, run: RunState) throws(StreamFault) {
        precondition(count > 0)
        var lanes: [Lane] = []
        for _ in 0..<count { lanes.append(try Lane(limits: limits, run: run)) }
        self.lanes = lanes
        self.limits = limits
        isHeld = Monitor(Array(repeating: false, count: count))
    }

    /// The lane with the least to do that nobody holds. There is one: each fetch thread holds at most one, and there are no
    /// more of them than lanes.
    func acquire() -> Lane {
        isHeld.withLock { isHeld in
            let free = lanes.indices.filter { !isHeld[$0] }
            guard let index = free.min(by: { lanes[$0].load < lanes[$1].load }) else {
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

    /// The first frame of the run asks for so much of its lane's ring; later ones are not noted.
    func noteFirstLap(_ lane: Lane, bytes: Int) { firstLap.update { $0 = $0 ?? (lane.buffer, bytes) } }

    /// Waits for the first frame, and brings in the pages that it will use ahead of its decoder: on virtual machines a first touch
    /// may cost more than to decode what goes there. Ends early when the run does.
    func populateFirst(while run: RunState) {
        let (buffer, bytes) = firstLap.wait { $0 }
        let stepBytes = 2 * DirectBuffer.hugePageBytes
        for offset in stride(from: 0, to: bytes, by: stepBytes) {
            if run.stop.isCancelled { return }
            buffer.populate(offset, count: min(stepBytes, bytes - offset))
        }
    }

    func end() { for lane in lanes { lane.end() } }

    func stop() {
        noFirstLap()
        for lane in lanes { lane.stop() }
    }

    /// There was no frame, or nobody shall wait for it any longer.
    func noFirstLap() { noteFirstLap(lanes[0], bytes: 0) }
}

extension Lane {
    /// For the choice of a lane: frames to do, then bytes.
    fileprivate var load: (Int, Int) { (backlog, pipe.filledBytes) }
}
