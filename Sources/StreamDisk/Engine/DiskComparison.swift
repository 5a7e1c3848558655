/// A piece that was written, as it must be read back.
struct WrittenExtent {
    let deviceOffset: UInt64
    /// XXH3 of its bytes; of no meaning where all of them are zeros.
    let checksum: UInt64
    let lengthBytes: UInt32
    let isZero: Bool
}

/// A read under way, and what it is to bring.
struct DiskRead {
    enum Expected {
        /// The bytes of this piece, in memory; or zeros.
        case piece(SlotWrite)
        /// These of the kept extents, which lie one behind the other.
        case extents(Range<Int>)
    }
    let expected: Expected
    /// Where in the comparison's memory.
    let chunk: Int
}

/// Compares what is read from the disk with what should be there: its memory, the checksums kept while writing, and what was
/// found.
struct DiskComparison {
    /// No piece is longer.
    static let chunkBytes = LanePlan.slotBytes
    /// As many reads may be in flight.
    private static let chunkCount = 8

    let memory: DirectBuffer
    private var freeChunks = Array(0..<Self.chunkCount)
    private var extents: [WrittenExtent] = []
    private(set) var comparedBytes: UInt64 = 0
    /// How many pieces differ, and where the first of them by its place on the disk does.
    private(set) var differenceCount = 0
    private(set) var firstDifference: Range<UInt64>?

    init() throws(StreamFault) {
        memory = try DirectBuffer.reserved(sizeBytes: Self.chunkCount * Self.chunkBytes)
    }

    /// What it takes of memory at most: the chunks, and an extent for every run of zeros and for what lies between two of them,
    /// where so many bytes are kept; three times over while their array grows.
    static func memoryBytesMax(keptBytes: UInt64) -> UInt64 {
        let pieces = keptBytes / UInt64(ZeroRuns.runBytesMin) * 2
        return UInt64(chunkCount * chunkBytes) + 3 * pieces * UInt64(MemoryLayout<WrittenExtent>.stride)
    }

    // MARK: While writing

    mutating func keep(_ piece: SlotWrite) {
        precondition(piece.lengthBytes <= Self.chunkBytes && (piece.isZero || piece.checksum != nil))
        extents.append(
            WrittenExtent(
                deviceOffset: piece.deviceOffset, checksum: piece.checksum ?? 0, lengthBytes: UInt32(piece.lengthBytes),
                isZero: piece.isZero))
    }

    // MARK: Reading

    var hasFreeChunk: Bool { !freeChunks.isEmpty }

    mutating func sortExtents() { extents.sort { $0.deviceOffset < $1.deviceOffset } }

    /// The kept extents from `next` on that one read takes; `next` is then the one behind them. Nil where there is no chunk for
    /// it, at their end, and when a difference was found.
    func nextRead(_ next: inout Int) -> DiskRead.Expected? {
        guard next < extents.count, hasFreeChunk, firstDifference == nil else { return nil }
        let first = next
        var end = extents[first].deviceOffset
        repeat {
            end += UInt64(extents[next].lengthBytes)
            next += 1
        } while next < extents.count && extents[next].deviceOffset == end
            && end + UInt64(extents[next].lengthBytes) <= extents[first].deviceOffset + UInt64(Self.chunkBytes)
        return .extents(first..<next)
    }

    /// Begins a read: a chunk for it, and what to ask of the disk.
    mutating func begin(_ expected: DiskRead.Expected) -> (read: DiskRead, request: DiskRequest) {
        guard let chunk = freeChunks.popLast() else { preconditionFailure("more reads than chunks") }
        let (offset, lengthBytes) =
            switch expected {
            case .piece(let piece): (piece.deviceOffset, piece.lengthBytes)
            case .extents(let range):
                (extents[range.lowerBound].deviceOffset, extents[range].reduce(0) { $0 + Int($1.lengthBytes) })
            }
        precondition(lengthBytes <= Self.chunkBytes)
        return (
            DiskRead(expected: expected, chunk: chunk),
            DiskRequest(
                operation: .read, offset: offset, buffer: memory, bufferOffset: chunk * Self.chunkBytes,
                lengthBytes: lengthBytes, tag: 0)
        )
    }

    /// A read has ended: compares, where it brought something, and lets go of its chunk.
    mutating func end(_ read: DiskRead, isRead: Bool) {
        freeChunks.append(read.chunk)
        guard isRead else { return }
        var position = read.chunk * Self.chunkBytes
        switch read.expected {
        case .piece(let piece):
            let differing: Range<Int>?
            if let source = piece.memory {
                differing = source.ring.buffer.withBytes(source.ringOffset, count: piece.lengthBytes) { bytes in
                    memory.difference(position, from: bytes)
                }
            } else {
                differing = memory.differenceFromZeros(position, count: piece.lengthBytes)
            }
            note(differing, at: piece.deviceOffset)
            comparedBytes += UInt64(piece.lengthBytes)
        case .extents(let range):
            for extent in extents[range] {
                let count = Int(extent.lengthBytes)
                let isRight = extent.isZero
                    ? memory.isZero(position, count: count) : memory.checksum(position, count: count) == extent.checksum
                note(isRight ? nil : 0..<count, at: extent.deviceOffset)
                position += count
                comparedBytes += UInt64(count)
            }
        }
    }

    /// Notes that so much differs, from `offset` on the disk.
    mutating func note(_ differing: Range<Int>?, at offset: UInt64) {
        guard let differing else { return }
        differenceCount += 1
        let range = offset + UInt64(differing.lowerBound)..<offset + UInt64(differing.upperBound)
        if let first = firstDifference, first.lowerBound <= range.lowerBound { return }
        firstDifference = range
    }
}

extension DiskWriter where Queue: ~Copyable {
    var comparedBytes: UInt64 { comparison?.comparedBytes ?? 0 }
    /// What was found to differ from what came through the inbox.
    var differenceCount: Int { comparison?.differenceCount ?? 0 }
    var firstDifference: Range<UInt64>? { comparison?.firstDifference }

    /// Reads what was written back, in the order of the disk and several reads at once, and compares it with the checksums.
    ///
    /// Direct I/O, so it is the disk that answers and not the page cache. Stops at the first difference and throws it.
    mutating func readBack(stop: Cancellation, tick: (borrowing Self) -> Void) throws(StreamFault) {
        comparison?.sortExtents()
        var next = 0
        var lastTick = Instant.now
        while true {
            // What lies before a difference was asked for before it, so the first one is known when the rest has come back.
            while hasFreeRequest, firstError == nil, !stop.isCancelled, let extents = comparison?.nextRead(&next) {
                startRead(extents)
            }
            if requestsInFlight == 0 { break }
            reap(until: .after(seconds: tickSeconds), counters: nil)
            if Instant.now.seconds(since: lastTick) >= tickSeconds {
                lastTick = .now
                tick(self)
            }
        }
        do throws(DeviceError) { try finishAll(tick: { _ in }) } catch { throw .device(error) }
        if let range = firstDifference {
            throw .mismatch(DiskMismatch(.written, path: disk.path, area: nil, range: range))
        }
        if stop.isCancelled { throw .cancelled }
        tick(self)
    }

    mutating func startRead(_ expected: DiskRead.Expected) {
        guard let (read, request) = comparison?.begin(expected) else { preconditionFailure("nothing is compared") }
        var slot: SlotWrite?
        if case .piece(let piece) = expected { slot = piece }
        submit(request, slot: slot, read: read)
    }
}
