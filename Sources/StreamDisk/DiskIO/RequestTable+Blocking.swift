/// Requests that are waited for one at a time: partition tables and flushes. Also waits for all others to end.
extension RequestTable where Queue: ~Copyable {
    /// Flushes the caches of every target, which can take minutes.
    mutating func flush(tick: (DiskActivity) -> Void) throws(StreamFault) {
        for target in disk.targets {
            if !hasFreeRequest { try finishAll(tick: tick) }
            submit(
                DiskRequest(
                    operation: .flush, offset: target.addresses.lowerBound, buffer: nil, bufferOffset: 0, lengthBytes: 0, tag: 0),
                for: nil)
        }
        try finishAll(tick: tick)
    }

    /// Writes `bytes`, whose length is a multiple of the block size, at `offset`.
    mutating func write(_ bytes: [UInt8], at offset: UInt64, tick: (DiskActivity) -> Void) throws(StreamFault) {
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, scratch.sizeBytes)
            scratch.copy(unsafe bytes.span.bytes.extracting(done..<done + count), to: 0)
            try transfer(.write, at: offset + UInt64(done), count: count, tick: tick)
            done += count
        }
    }

    /// Writes zeros to all ranges, even if one fails, and flushes. Throws the first error.
    mutating func zero(_ ranges: [Range<UInt64>], tick: (DiskActivity) -> Void) throws(StreamFault) {
        var first: StreamFault?
        for range in ranges {
            do throws(StreamFault) {
                // Tables and gaps are a few MiB at most.
                try write([UInt8](repeating: 0, count: range.count), at: range.lowerBound, tick: tick)
            } catch {
                first = first ?? error
            }
        }
        do throws(StreamFault) { try flush(tick: tick) } catch { first = first ?? error }
        if let first { throw first }
    }

    /// Compares `bytes`, whose length is a multiple of the block size, with the disk at `offset`. Returns the disk range from
    /// the first to the last differing byte; nil if there is none.
    mutating func difference(
        from bytes: [UInt8], at offset: UInt64, tick: (DiskActivity) -> Void
    ) throws(StreamFault) -> Range<UInt64>? {
        var found: Range<UInt64>?
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, scratch.sizeBytes)
            let start = offset + UInt64(done)
            try transfer(.read, at: start, count: count, tick: tick)
            let expected = unsafe bytes.span.bytes.extracting(done..<done + count)
            if let differing = scratch.difference(0, from: expected) {
                found = (found?.lowerBound ?? start + UInt64(differing.lowerBound))..<start + UInt64(differing.upperBound)
            }
            done += count
        }
        return found
    }

    /// Waits for all requests in flight, whatever their purpose. Throws the first error and clears it.
    mutating func finishAll(tick: (DiskActivity) -> Void) throws(StreamFault) {
        var ended: [Ended] = []
        while requestsInFlight > 0 {
            reap(until: .after(seconds: tickSeconds), into: &ended)
            ended.removeAll(keepingCapacity: true)
            tick(activity)
        }
        if let error = takeFirstError() { throw .device(error) }
    }

    var activity: DiskActivity { DiskActivity(bytesInFlight: bytesInFlight, silenceSeconds: silenceSeconds) }

    private mutating func transfer(
        _ operation: DiskRequest.Operation, at offset: UInt64, count: Int, tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        submit(
            DiskRequest(operation: operation, offset: offset, buffer: scratch, bufferOffset: 0, lengthBytes: count, tag: 0),
            for: nil)
        try finishAll(tick: tick)
    }
}
