import CosiFormat

// The order of writes as types: each step returns the proof that the next one requires, and only this file can create one. So
// no code can write a partition table over data that was not written, verified and flushed first.

/// Neither the old nor a new partition table is on the disk, and that state is flushed.
struct Invalidated: ~Copyable { fileprivate init() {} }

/// Every image was written completely, each byte once, with the right length and hash.
struct Written: ~Copyable { fileprivate init() {} }

/// What was written is flushed and, if requested, was read back from the disk.
struct Verified: ~Copyable { fileprivate init() {} }

/// The same of images onto targets of their own. It never becomes `Verified`: no table comes after it.
struct WrittenRegions: ~Copyable { fileprivate init() {} }

extension DiskWriter where Queue: ~Copyable {
    /// Step 2: zeroes both partition tables and the MBR, at the places of the new ones, and flushes. Then zeroes the space
    /// between partitions and tables at both ends of the disk, which may contain old signatures, and flushes.
    ///
    /// - Parameter gaps: `WriteAreas.gaps`. They may belong to partitions of the old table, so the table is removed first.
    mutating func invalidate(
        _ table: GPT.Placement, gaps: [Range<UInt64>], tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) -> Invalidated {
        try requests.zero(table.parts.map(\.range), tick: tick)
        // A disk that drops these writes would keep its old table over new data.
        for part in table.parts { try expectZeros(part.range, part.area, tick: tick) }
        try requests.zero(gaps, tick: tick)
        for gap in gaps { try expectZeros(gap, nil, tick: tick) }
        return Invalidated()
    }

    /// Step 3: runs the pipeline, writes what it decodes, and zeroes the space after shorter images that may contain old
    /// signatures.
    ///
    /// Returns the proof only if exactly the bytes of `areas` were written, each once. This does not depend on the lengths that
    /// frames state.
    mutating func write(
        _ proof: consuming Invalidated, _ areas: WriteAreas, from pipeline: consuming Pipeline,
        tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) -> Written {
        try pipeline.run(into: &self, zeroing: areas.tails, tick: tick)
        try requireAll(of: areas.written)
        return Written()
    }

    /// Step 4: flushes, which can take minutes on a device with a large cache. If the writer reads back, then reads everything;
    /// such a writer gets the proof in no other way.
    ///
    /// - Parameters:
    ///   - stop: ends reading back.
    ///   - willReadBack: called after the flush, before reading back.
    mutating func flush(
        _ proof: consuming Written, stop: Cancellation = Cancellation(), willReadBack: () -> Void = {},
        tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) -> Verified {
        try flushAll(stop: stop, willReadBack: willReadBack, tick: tick)
        return Verified()
    }

    /// Step 3 of a run that touches no table.
    ///
    /// - Parameter regions: the addresses of what is written of each target.
    mutating func write(
        regions: ExtentAccount, from pipeline: consuming Pipeline, tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) -> WrittenRegions {
        try pipeline.run(into: &self, tick: tick)
        try requireAll(of: regions)
        return WrittenRegions()
    }

    /// Step 4, and the last, of a run that touches no table.
    mutating func flush(
        _ proof: consuming WrittenRegions, stop: Cancellation = Cancellation(), willReadBack: () -> Void = {},
        tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) {
        try flushAll(stop: stop, willReadBack: willReadBack, tick: tick)
    }

    private mutating func flushAll(
        stop: Cancellation, willReadBack: () -> Void, tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        try requests.flush(tick: tick)
        guard options.readsBack else { return }
        willReadBack()
        try readBackAll(stop: stop, tick: tick)
    }

    /// Step 5: backup table, primary table, LBA 0, each flushed (and read back, where the writer does so) before the next. If one
    /// fails, what was written of the tables is removed again as far as the disk lets us: a failed run leaves no table.
    mutating func commit(
        _ proof: consuming Verified, _ table: GPT.Placement, tick: (DiskActivity) -> Void = { _ in }
    ) throws(StreamFault) {
        do throws(StreamFault) {
            for part in table.parts.reversed() {
                try requests.write(part.bytes, at: part.offset, tick: tick)
                try requests.flush(tick: tick)
                try expect(part.bytes, at: part.offset, part.area, tick: tick)
            }
        } catch {
            try? requests.zero(table.parts.map(\.range), tick: tick)
            throw error
        }
    }

    /// If the writer reads back: throws unless the disk holds these bytes at `offset`.
    private mutating func expect(
        _ bytes: [UInt8], at offset: UInt64, _ area: DiskMismatch.Area?, tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        guard options.readsBack else { return }
        options.dropCache()
        guard let range = try requests.difference(from: bytes, at: offset, tick: tick) else { return }
        let place = requests.disk.locate(range)
        throw .mismatch(DiskMismatch(.written, path: place.path, area: area, range: place.range))
    }

    private mutating func expectZeros(
        _ range: Range<UInt64>, _ area: DiskMismatch.Area?, tick: (DiskActivity) -> Void
    ) throws(StreamFault) {
        guard options.readsBack else { return }
        try expect([UInt8](repeating: 0, count: range.count), at: range.lowerBound, area, tick: tick)
    }
}

extension GPT.Placement {
    struct Part {
        let area: DiskMismatch.Area
        let offset: UInt64
        let bytes: [UInt8]
        var range: Range<UInt64> { offset..<offset + UInt64(bytes.count) }
    }

    /// LBA 0, the primary table and the backup, in disk order.
    var parts: [Part] {
        [
            Part(area: .mbr, offset: 0, bytes: mbr),
            Part(area: .primaryTable, offset: UInt64(mbr.count), bytes: primary),
            Part(area: .backupTable, offset: backupOffsetBytes, bytes: backup),
        ]
    }
}
