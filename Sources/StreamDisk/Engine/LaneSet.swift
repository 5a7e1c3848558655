/// The lanes of a run and their threads.
final class LaneSet: Sendable {
    let lanes: [Lane]

    init(count: Int, limits: LaneLimits, run: RunState) throws(StreamFault) {
        precondition(count > 0)
        var lanes: [Lane] = []
        for _ in 0..<count { lanes.append(try Lane(limits: limits, run: run)) }
        self.lanes = lanes
    }

    /// Fetched and not yet decoded, all lanes.
    var waitingBytes: Int { lanes.reduce(0) { $0 + $1.waitingBytes } }

    func stop() { for lane in lanes { lane.stop() } }
}

extension DiskWriter where Queue: ~Copyable {
    /// Runs every lane to its end and writes what it decodes. Returns when all threads are joined and all writes reaped.
    mutating func stream(
        jobs: any JobFeed, from source: any ImageSource, lanes: LaneSet, run: RunState, tick: (borrowing Self) -> Void
    ) throws(StreamFault) {
        register(lanes.lanes.map(\.buffer))
        let waker = self.waker
        let inbox = WriteInbox(lanes: lanes.lanes.count, waker: waker)
        let blockBytes = disk.blockBytes
        run.stop.withHandler({
            lanes.stop()
            waker.wake()
        }) {
            var threads = ThreadList()
            for (index, lane) in lanes.lanes.enumerated() {
                do throws(SystemError) {
                    try threads.append(
                        WorkerThread(name: "sd-decode-\(index)") {
                            run.counters.decode.measure { lane.decode(to: inbox, blockBytes: blockBytes) }
                        })
                } catch {
                    run.fail(.host(operation: "start a thread", cause: error))
                    inbox.laneEnded()
                    continue
                }
                do throws(SystemError) {
                    try threads.append(
                        WorkerThread(name: "sd-fetch-\(index)") {
                            run.counters.fetch.measure { lane.fetch(from: source, feed: jobs) }
                        })
                } catch {
                    run.fail(.host(operation: "start a thread", cause: error))
                }
            }
            run.counters.write.measure { drain(inbox, run: run, tick: tick) }
            threads.joinAll()
        }
        if let failure = run.failure { throw failure }
        if run.stop.isCancelled { throw .cancelled }
    }
}
