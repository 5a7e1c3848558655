/// The lanes of a transfer, handed out to fetch threads. A lane's memory and threads begin when a frame first needs it: an
/// image of one frame has one lane, on any number of processors.
final class LanePool: Sendable {
    let limits: LaneLimits
    let prefault = RingPrefault()

    fileprivate struct State {
        var lanes: [Lane] = []
        var isHeld: [Bool] = []
        /// Lanes being created, outside the lock.
        var isGrowing = false
        /// Maximum number of lanes.
        var lanesMax: Int
        var isStopped = false
    }
    private let state: Monitor<State>
    private let queue: ExtentQueue
    private let blockBytes: Int
    private let transfer: TransferState

    /// Creates the first lane, so that its memory is reserved.
    init(_ plan: LanePlan, into queue: ExtentQueue, blockBytes: Int, transfer: TransferState) throws(StreamFault) {
        precondition(plan.lanes > 0)
        limits = plan.limits
        self.queue = queue
        self.blockBytes = blockBytes
        self.transfer = transfer
        let first = try Lane(number: 0, limits: limits, transfer: transfer)
        state = Monitor(State(lanes: [first], isHeld: [false], lanesMax: plan.lanes))
    }

    /// Returns a lane that no thread holds: an idle one, else a new one, else the least loaded. If no more can be created,
    /// waits for one to be released. Throws `.cancelled` if the transfer was stopped.
    func acquire() throws(StreamFault) -> Lane {
        while true {
            let choice = state.wait { state -> Choice? in state.choose() }
            switch choice {
            case .stopped: throw .cancelled
            case .lane(let lane):
                do throws(SystemError) {
                    try lane.start(into: queue, blockBytes: blockBytes)
                    return lane
                } catch {
                    throw .host(operation: "start a thread", cause: error)
                }
            case .grow(let number): grow(number)
            }
        }
    }

    fileprivate enum Choice {
        case lane(Lane)
        case grow(number: Int)
        case stopped
    }

    /// Adds a lane. If memory or threads are refused, only speed is lost: the existing lanes continue.
    private func grow(_ number: Int) {
        var made: Lane?
        do {
            let lane = try Lane(number: number, limits: limits, transfer: transfer)
            if prefault.usesSmallPages { lane.buffer.useSmallPages() }
            try lane.start(into: queue, blockBytes: blockBytes)
            made = lane
        } catch {}
        let isLate = state.mutateAndNotify { state -> Bool in
            state.isGrowing = false
            guard let made else {
                state.lanesMax = state.lanes.count
                return false
            }
            state.lanes.append(made)
            state.isHeld.append(false)
            return state.isStopped
        }
        if isLate { made?.stop() }
    }

    func release(_ lane: Lane) {
        state.mutateAndNotify { state in
            for index in state.lanes.indices where state.lanes[index] === lane { state.isHeld[index] = false }
        }
    }

    /// Bytes fetched and not yet decoded, summed over all lanes.
    var waitingBytes: Int { lanes.reduce(0) { $0 + $1.pipe.filledBytes } }
    /// The lanes created so far.
    var lanes: [Lane] { state.withLock { $0.lanes } }

    /// No more frames will come.
    func end() {
        for lane in lanes { lane.end() }
        queue.close()
    }

    func stop() {
        prefault.cancel()
        let lanes = state.mutateAndNotify { state in
            state.isStopped = true
            return state.lanes
        }
        for lane in lanes { lane.stop() }
    }

    /// Waits for the threads of all lanes.
    func joinAll() { for lane in lanes { lane.join() } }
}

extension LanePool.State {
    /// Nil if the caller must wait for a lane.
    fileprivate mutating func choose() -> LanePool.Choice? {
        if isStopped { return .stopped }
        let free = lanes.indices.filter { !isHeld[$0] }
        let best = free.min { lanes[$0].load < lanes[$1].load }
        let canGrow = lanes.count < lanesMax && !isGrowing
        if let best, lanes[best].backlog == 0 || !canGrow {
            isHeld[best] = true
            return .lane(lanes[best])
        }
        guard canGrow else { return nil }
        isGrowing = true
        return .grow(number: lanes.count)
    }
}

extension Lane {
    /// For choosing a lane: first by frames, then by bytes.
    fileprivate var load: (Int, Int) { (backlog, pipe.filledBytes) }
}
