import CosiFormat

// The order of writes as types: each step hands out the proof that the next one takes, and only this file can make one. So no
// code can write a partition table over data that was not written, checked and flushed before.

/// Neither the old nor a new partition table is on the disk, and that is flushed.
struct Invalidated: ~Copyable { fileprivate init() {} }

/// Every image was written in full, each of its bytes once, and its length and hash were right.
struct Written: ~Copyable { fileprivate init() {} }

/// What was written is flushed, and was read back from the disk where that was asked for.
struct Verified: ~Copyable { fileprivate init() {} }

extension DiskWriter where Queue: ~Copyable {
    /// Step 2: zeroes both partition tables and the MBR, where the new ones will stand, and flushes; then zeroes what lies
    /// between partitions and tables at both ends of the disk, where old signatures may stand, and flushes.
    ///
    /// - Parameter gaps: `WriteAreas.gaps`. They may belong to partitions of the old table, so that goes first.
    mutating func invalidate(
        _ table: GPT.Placement, gaps: [Range<UInt64>], tick: (borrowing Self) -> Void = { _ in }
    ) throws(StreamFault) -> Invalidated {
        do throws(DeviceError) { try zero(table.parts.map(\.range), tick: tick) } catch { throw .device(error) }
        // A disk that drops these writes would keep its old table over new data.
        for part in table.parts { try readBack(zeros(part.range), at: part.offset, part.area, tick: tick) }
        do throws(DeviceError) { try zero(gaps, tick: tick) } catch { throw .device(error) }
        for gap in gaps { try readBack(zeros(gap), at: gap.lowerBound, nil, tick: tick) }
        return Invalidated()
    }

    /// Step 3: runs the lanes, writes what they decode, and zeroes what old signatures may stand in behind a shorter image.
    ///
    /// The proof is given only when what was written is what `areas` names, each byte once: it needs no trust in the lengths
    /// that frames state.
    mutating func write(
        _ proof: consuming Invalidated, _ areas: WriteAreas, jobs: any JobFeed, from source: any ImageSource,
        lanes: LanePool, fetchers: Int, run: RunState, tick: (borrowing Self) -> Void
    ) throws(StreamFault) -> Written {
        try stream(
            jobs: jobs, from: source, lanes: lanes, fetchers: fetchers, run: run, zeroing: areas.tails, tick: tick)
        try requireAll(of: areas.written)
        return Written()
    }

    /// Throws unless exactly `expected` has come through the inbox, each byte once.
    func requireAll(of expected: ExtentAccount) throws(StreamFault) {
        guard let range = account.firstDifference(from: expected) else { return }
        throw .image(
            "decoded data",
            "bytes \(range.lowerBound) to \(range.upperBound) of the disk are not covered by what the frames hold")
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
            precondition(comparedBytes == account.totalBytes, "a proof over bytes that were not read")
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
                try readBack(part.bytes, at: part.offset, part.area, tick: tick)
            }
        } catch {
            try? zero(table.parts.map(\.range), tick: tick)
            throw error
        }
    }

    /// Where the writer checks what it wrote: whether the disk holds these bytes at `offset`.
    private mutating func readBack(
        _ bytes: [UInt8], at offset: UInt64, _ area: DiskMismatch.Area?, tick: (borrowing Self) -> Void
    ) throws(StreamFault) {
        guard check == .whatWasWritten else { return }
        dropCache()
        let differing: Range<UInt64>?
        do throws(DeviceError) {
            differing = try difference(from: bytes, at: offset, tick: tick)
        } catch {
            throw .device(error)
        }
        guard let differing else { return }
        throw .mismatch(DiskMismatch(.written, path: disk.path, area: area, range: differing))
    }

    /// Zeroes all the ranges, also when one of them fails, and flushes; throws the first error.
    private mutating func zero(_ ranges: [Range<UInt64>], tick: (borrowing Self) -> Void) throws(DeviceError) {
        var first: DeviceError?
        for range in ranges {
            do throws(DeviceError) {
                try write(zeros(range), at: range.lowerBound, tick: tick)
            } catch {
                first = first ?? error
            }
        }
        do throws(DeviceError) { try flush(tick: tick) } catch { first = first ?? error }
        if let first { throw first }
    }

    /// Tables and gaps take a few MiB at most.
    private func zeros(_ range: Range<UInt64>) -> [UInt8] { [UInt8](repeating: 0, count: range.count) }
}

extension GPT.Placement {
    struct Part {
        let area: DiskMismatch.Area
        let offset: UInt64
        let bytes: [UInt8]
        var range: Range<UInt64> { offset..<offset + UInt64(bytes.count) }
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
