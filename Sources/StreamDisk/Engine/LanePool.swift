/// The lanes of a run, dealt out to fetch threads.
final class LanePool: Sendable {
    let lanes: [Lane]
    let limits: LaneLimits
    private let isHeld: Monitor<[Bool]>
    private let firstLap = Monitor(FirstLap.unknown)

    /// What the first frame of all will use: of which ring, and how much from its start.
    private enum FirstLap {
        case unknown
        case noted(DirectBuffer, bytes: Int)
        /// Its pages are in, or nobody needs them any more.
        case done
    }

    /// The processor time that one huge page may cost before small ones are taken: several times what it takes to zero 2 MiB, and
    /// a fraction of what it takes where the hypervisor must find the memory first.
    private static let hugePageNanosecondsMax: UInt64 = 1_000_000
    private static let dearPagesMax = 2

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

    /// The first frame of the run will use so much of its lane's ring; later ones are not noted.
    func noteFirstLap(_ lane: Lane, bytes: Int) {
        firstLap.update { if case .unknown = $0 { $0 = .noted(lane.buffer, bytes: bytes) } }
    }

    /// Waits for the first frame, and brings in the pages that it will use ahead of its decoder: on virtual machines a first touch
    /// may cost more than to decode what goes there. Ends early when the run does.
    ///
    /// Where a huge page turns out dear, all the lanes go on with small ones. A hypervisor that takes free memory back takes it
    /// in blocks of at least that size; small pages come from what it has left (docs/decisions/0005).
    func populateFirst(while run: RunState) {
        defer { firstLap.update { $0 = .done } }
        let noted = firstLap.wait { lap -> (buffer: DirectBuffer, bytes: Int)?? in
            switch lap {
            case .unknown: nil
            case .noted(let buffer, let bytes): .some((buffer, bytes))
            case .done: .some(nil)
            }
        }
        guard let (buffer, bytes) = noted else { return }
        let stepBytes = DirectBuffer.hugePageBytes
        var dearPages = 0
        for offset in stride(from: 0, to: bytes, by: stepBytes) {
            if run.stop.isCancelled { return }
            let begin = StageTimes.threadNanoseconds
            buffer.populate(offset, count: min(stepBytes, bytes - offset))
            if StageTimes.threadNanoseconds - begin > Self.hugePageNanosecondsMax { dearPages += 1 }
            if dearPages == Self.dearPagesMax { for lane in lanes { lane.buffer.useSmallPages() } }
        }
    }

    /// Waits for `populateFirst`.
    func waitUntilPopulated() {
        firstLap.wait { lap -> Void? in if case .done = lap { () } else { nil } }
    }

    func end() { for lane in lanes { lane.end() } }

    func stop() {
        noFirstLap()
        for lane in lanes { lane.stop() }
    }

    /// Nobody shall wait for a first frame, or for its pages, any longer.
    func noFirstLap() { firstLap.update { $0 = .done } }
}

extension Lane {
    /// For the choice of a lane: frames to do, then bytes.
    fileprivate var load: (Int, Int) { (backlog, pipe.filledBytes) }
}
