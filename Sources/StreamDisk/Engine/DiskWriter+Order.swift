import CosiFormat

// The order of writes as types: each step hands out the proof that the next one takes, and only this file can make one. So no
// code can write a partition table over data that was not written, checked and flushed before.

/// Neither the old nor a new partition table is on the disk, and that is flushed.
struct Invalidated: ~Copyable { fileprivate init() {} }

/// Every image was written in full, and its length and hash were right.
struct Written: ~Copyable { fileprivate init() {} }

/// What was written is flushed (and was read back, if asked for).
struct Verified: ~Copyable { fileprivate init() {} }

extension DiskWriter where Queue: ~Copyable {
    /// Step 2: zeroes both partition tables and the MBR, where the new ones will stand, and flushes.
    mutating func invalidate(
        _ table: GPT.Placement, tick: (borrowing Self) -> Void = { _ in }
    ) throws(StreamFault) -> Invalidated {
        do throws(DeviceError) { try zero(table, tick: tick) } catch { throw .device(error) }
        return Invalidated()
    }

    /// Step 3: runs the lanes and writes what they decode.
    mutating func write(
        _ proof: consuming Invalidated, jobs: any JobFeed, from source: any ImageSource, lanes: LanePool, fetchers: Int,
        run: RunState, tick: (borrowing Self) -> Void
    ) throws(StreamFault) -> Written {
        try stream(jobs: jobs, from: source, lanes: lanes, fetchers: fetchers, run: run, tick: tick)
        return Written()
    }

    /// Step 4: flushes. May take minutes on a device with a large cache.
    mutating func flush(_ proof: consuming Written, tick: (borrowing Self) -> Void) throws(StreamFault) -> Verified {
        do throws(DeviceError) { try flush(tick: tick) } catch { throw .device(error) }
        return Verified()
    }

    /// Step 5: backup table, primary table, LBA 0, each flushed before the next. If one fails, what was written of the
    /// tables is removed again as far as the disk lets us: a failed run leaves no table.
    mutating func commit(
        _ proof: consuming Verified, _ table: GPT.Placement, tick: (borrowing Self) -> Void = { _ in }
    ) throws(StreamFault) {
        do throws(DeviceError) {
            try write(table.backup, at: table.backupOffsetBytes, tick: tick)
            try flush(tick: tick)
            try write(table.primary, at: UInt64(table.mbr.count), tick: tick)
            try flush(tick: tick)
            try write(table.mbr, at: 0, tick: tick)
            try flush(tick: tick)
        } catch {
            try? zero(table, tick: tick)
            throw .device(error)
        }
    }

    /// Zeroes every part of the tables, also when one of them fails; throws the first error.
    private mutating func zero(_ table: GPT.Placement, tick: (borrowing Self) -> Void) throws(DeviceError) {
        let parts = [
            (UInt64(0), table.mbr.count), (UInt64(table.mbr.count), table.primary.count),
            (table.backupOffsetBytes, table.backup.count),
        ]
        var first: DeviceError?
        for (offset, count) in parts {
            do throws(DeviceError) {
                try write([UInt8](repeating: 0, count: count), at: offset, tick: tick)
            } catch {
                first = first ?? error
            }
        }
        do throws(DeviceError) { try flush(tick: tick) } catch { first = first ?? error }
        if let first { throw first }
    }
}
