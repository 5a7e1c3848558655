extension DiskWriter where Queue: ~Copyable {
    /// Fetches every job's image, decodes it on the pool's lanes, and writes it (or compares it, as `check` says). Returns when
    /// all threads are joined and all requests reaped.
    ///
    /// - Parameters:
    ///   - fetchers: threads that fetch, at most as many as there are lanes; one for a sequential source.
    ///   - zeroing: ranges that are zeroed besides, before the images; none longer than a slot.
    mutating func stream(
        jobs: any JobFeed, from source: any ImageSource, lanes pool: LanePool, fetchers: Int, run: RunState,
        zeroing: [Range<UInt64>] = [], tick: (borrowing Self) -> Void
    ) throws(StreamFault) {
        precondition(fetchers > 0 && fetchers <= pool.lanes.count)
        let waker = self.waker
        let inbox = WriteInbox(lanes: pool.lanes.count, waker: waker, keepsChecksums: check == .whatWasWritten)
        let blockBytes = disk.blockBytes
        run.stop.withHandler({
            pool.stop()
            inbox.stop()
            waker.wake()
        }) {
            var threads = ThreadList()
            for (index, lane) in pool.lanes.enumerated() {
                do throws(SystemError) {
                    try threads.append(
                        run.threads.start(name: "sd-decode-\(index)") {
                            run.counters.decode.measure { lane.decode(to: inbox, number: index, blockBytes: blockBytes) }
                        })
                } catch {
                    run.fail(.host(operation: "start a thread", cause: error))
                    inbox.laneEnded()
                }
            }
            do throws(SystemError) {
                try threads.append(run.threads.start(name: "sd-populate") { pool.populateFirst(while: run) })
            } catch {
                // That costs speed only.
                pool.noFirstLap()
            }
            let fetching = Monitor(fetchers)
            for index in 0..<fetchers {
                let last: @Sendable () -> Void = {
                    let left = fetching.withLock { left in
                        left -= 1
                        return left
                    }
                    if left == 0 { pool.end() }
                }
                do throws(SystemError) {
                    try threads.append(
                        run.threads.start(name: "sd-fetch-\(index)") {
                            // There is time for smaller images when the first one's decoder has its memory.
                            if index > 0 { pool.waitUntilPopulated() }
                            run.counters.fetch.measure { fetchImages(jobs, from: source, pool: pool, run: run) }
                            if index == 0 { pool.noFirstLap() }
                            last()
                        })
                } catch {
                    run.fail(.host(operation: "start a thread", cause: error))
                    last()
                }
            }
            run.counters.write.measure { drain(inbox, zeroing: zeroing, run: run, tick: tick) }
            threads.joinAll()
        }
        if let failure = run.failure { throw failure }
        if run.stop.isCancelled { throw .cancelled }
    }
}

/// A fetch thread: images until the feed has no more.
func fetchImages(_ jobs: any JobFeed, from source: any ImageSource, pool: LanePool, run: RunState) {
    let observer = run.observer
    do throws(StreamFault) {
        while !run.stop.isCancelled, let job = try jobs.next(observer: observer) {
            let router = FrameRouter(job, pool: pool, limits: pool.limits, counters: run.counters)
            var sourceError: SourceError?
            run.begin(job)
            defer { run.end(job) }
            do throws(SourceError) {
                try source.read(job.sourceRange, into: router, observer: observer)
            } catch {
                sourceError = error
            }
            try router.finish(sourceError)
        }
    } catch {
        run.fail(error)
    }
}
