/// Fetches, hashes and decodes images on its own threads, and hands the extents to a consumer on the calling thread.
///
/// Created before the disk is touched: by then the first lane's memory and all indispensable threads are reserved.
package struct Pipeline: ~Copyable {
    private let source: any ByteSource
    private let jobs: any JobFeed
    private let transfer: TransferState
    private let queue: ExtentQueue
    private let pool: LanePool
    private let fetchers: Int

    /// - Parameters:
    ///   - plan: the maximum number of lanes; each starts when a frame first needs it.
    ///   - consumer: the consumer that `run` will be given.
    package init<Consumer: ExtentConsumer & ~Copyable>(
        _ jobs: any JobFeed, from source: any ByteSource, plan: LanePlan, for consumer: borrowing Consumer,
        transfer: TransferState
    ) throws(StreamFault) {
        let queue = ExtentQueue(waker: consumer.waker, keepsChecksums: consumer.wantsChecksums)
        let pool = try LanePool(plan, into: queue, blockBytes: consumer.blockBytes, transfer: transfer)
        let fetchers = min(plan.lanes, jobs.concurrentMax)
        // The fetch threads, the first lane's decoder and verifier, and the prefault thread.
        let count = fetchers + 3
        do throws(SystemError) {
            try transfer.threads.add(count)
        } catch {
            throw .host(operation: "start the \(count) threads of a transfer", cause: error)
        }
        (self.source, self.jobs, self.transfer) = (source, jobs, transfer)
        (self.queue, self.pool, self.fetchers) = (queue, pool, fetchers)
    }

    deinit { transfer.threads.dismiss() }

    /// Returns the number of bytes fetched and not yet decoded. May be called from any thread.
    var waitingBytes: @Sendable () -> Int {
        let pool = pool
        return { pool.waitingBytes }
    }

    /// Returns when every image has arrived, all threads are joined, and the consumer has released everything.
    ///
    /// - Parameter zeroing: ranges that the consumer gets as zeros before the images; none is longer than a slot.
    package consuming func run<Consumer: ExtentConsumer & ~Copyable>(
        into consumer: inout Consumer, zeroing: [Range<UInt64>] = [], tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        let (pool, queue, transfer, jobs) = (pool, queue, transfer, jobs)
        for range in zeroing {
            queue.push(DecodedExtent(memory: nil, lengthBytes: range.count, deviceOffset: range.lowerBound))
        }
        transfer.stop.withHandler({
            pool.stop()
            jobs.stop()
            queue.stop()
        }) {
            let feeding = jobs.start(into: queue, transfer)
            let threads = startThreads()
            transfer.counters.write.measure { consumer.drain(queue, transfer, tick: tick) }
            threads.joinAll()
            feeding.joinAll()
            pool.joinAll()
        }
        if let failure = transfer.failure { throw failure }
        if transfer.stop.isCancelled { throw .cancelled }
    }

    private borrowing func startThreads() -> ThreadList {
        let (pool, transfer, jobs, source) = (pool, transfer, jobs, source)
        var threads = ThreadList()
        do throws(SystemError) {
            try threads.append(transfer.threads.start(name: "sd-prefault") { pool.prefault.run(transfer) })
        } catch {
            // Only speed is lost.
            pool.prefault.cancel()
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
                    transfer.threads.start(name: "sd-fetch-\(index)") {
                        // The smaller images can wait until the first decoder has its memory.
                        if index > 0 { pool.prefault.wait() }
                        transfer.counters.fetch.measure { fetchImages(jobs, from: source, pool: pool, transfer) }
                        if index == 0 { pool.prefault.cancel() }
                        last()
                    })
            } catch {
                transfer.fail(.host(operation: "start a thread", cause: error))
                last()
            }
        }
        return threads
    }
}

/// A fetch thread: fetches images until the feed has no more.
private func fetchImages(_ jobs: any JobFeed, from source: any ByteSource, pool: LanePool, _ transfer: TransferState) {
    let observer = transfer.observer
    do throws(StreamFault) {
        while !transfer.stop.isCancelled, let job = try jobs.next(observer: observer) {
            let router = FrameRouter(job, pool: pool, counters: transfer.counters)
            var sourceError: SourceError?
            transfer.begin(job)
            defer { transfer.end(job) }
            do throws(SourceError) {
                try source.read(job.sourceRange, into: router, observer: observer)
            } catch {
                sourceError = error
            }
            try router.finish(sourceError)
        }
    } catch {
        transfer.fail(error)
    }
}
