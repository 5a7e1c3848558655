import CosiFormat

// The order of writes as types: each step hands out the proof that the next one takes, and only this file can make one. So no
// code can write a partition table over data that was not written, checked and flushed before.

/// Neither the old nor a new partition table is on the disk, and that is flushed.
struct Invalidated: ~Copyable { fileprivate init() {} }

/// Every image was written in full, and its length and hash were right.
struct Written: ~Copyable { fileprivate init() {} }

/// What was written is flushed, and was read back from the disk where that was asked for.
struct Verified: ~Copyable { fileprivate init() {} }

extension DiskWriter where Queue: ~Copyable {
    /// Step 2: zeroes both partition tables and the MBR, where the new ones will stand, and flushes.
    mutating func invalidate(
        _ table: GPT.Placement, tick: (borrowing Self) -> Void = { _ in }
    ) throws(StreamFault) -> Invalidated {
        do throws(DeviceError) { try zero(table, tick: tick) } catch { throw .device(error) }
        // A disk that drops these writes would keep its old table over new data.
        for part in table.parts { try readBack([UInt8](repeating: 0, count: part.bytes.count), part, tick: tick) }
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

    /// Step 4: flushes, which may take minutes on a device with a large cache; and where the writer checks what it wrote, reads
    /// all of it back. Such a writer gives the proof in no other way.
    ///
    /// - Parameters:
    ///   - stop: ends the reading back.
    ///   - willReadBack: called between the two.
    mutating func flush(
        _ proof: consuming Written, stop: Cancellation = Cancellation(), willReadBack: () -> Void = {},
        tick: (borrowing Self) -> Void
    ) throws(StreamFault) -> Verified {
        do throws(DeviceError) { try flush(tick: tick) } catch { throw .device(error) }
        if check == .whatWasWritten {
            willReadBack()
            dropCache()
            try readBack(stop: stop, tick: tick)
        }
        return Verified()
    }

    /// Step 5: backup table, primary table, LBA 0, each flushed (and read back, where the writer checks what it wrote) before
    /// the next. If one fails, what was written of the tables is removed again as far as the disk lets us: a failed run leaves
    /// no table.
    mutating func commit(
        _ proof: consuming Verified, _ table: GPT.Placement, tick: (borrowing Self) -> Void = { _ in }
    ) throws(StreamFault) {
        do throws(StreamFault) {
            for part in table.parts.reversed() {
                do throws(DeviceError) {
                    try write(part.bytes, at: part.offset, tick: tick)
                    try flush(tick: tick)
                } catch {
                    throw .device(error)
                }
                try readBack(part.bytes, part, tick: tick)
            }
        } catch {
            try? zero(table, tick: tick)
            throw error
        }
    }

    /// Where the writer checks what it wrote: whether that part of the tables holds these bytes.
    private mutating func readBack(
        _ bytes: [UInt8], _ part: GPT.Placement.Part, tick: (borrowing Self) -> Void
    ) throws(StreamFault) {
        guard check == .whatWasWritten else { return }
        dropCache()
        let differing: Range<UInt64>?
        do throws(DeviceError) {
            differing = try difference(from: bytes, at: part.offset, tick: tick)
        } catch {
            throw .device(error)
        }
        guard let differing else { return }
        throw .mismatch(DiskMismatch(.written, path: disk.path, area: part.area, range: differing))
    }

    /// Zeroes every part of the tables, also when one of them fails; throws the first error.
    private mutating func zero(_ table: GPT.Placement, tick: (borrowing Self) -> Void) throws(DeviceError) {
        var first: DeviceError?
        for part in table.parts {
            do throws(DeviceError) {
                try write([UInt8](repeating: 0, count: part.bytes.count), at: part.offset, tick: tick)
            } catch {
                first = first ?? error
            }
        }
        do throws(DeviceError) { try flush(tick: tick) } catch { first = first ?? error }
        if let first { throw first }
    }
}

extension GPT.Placement {
    struct Part {
        let area: DiskMismatch.Area
        let offset: UInt64
        let bytes: [UInt8]
    }

    /// LBA 0, the primary table and the backup, by their places on the disk.
    var parts: [Part] {
        [
            Part(area: .mbr, offset: 0, bytes: mbr),
            Part(area: .primaryTable, offset: UInt64(mbr.count), bytes: primary),
            Part(area: .backupTable, offset: backupOffsetBytes, bytes: backup),
        ]
    }
}
