/// The bytes of a partition that are in use, gathered range by range in any order.
struct UsedBytes {
    /// More ranges are never kept: then the smallest gaps between them count as used. 16 MiB.
    static let rangesMax = 1 << 20

    private let sizeBytes: UInt64
    private let rangesMax: Int
    private var gathered: [Range<UInt64>] = []
    private var isOrdered = true
    /// Shorter gaps are closed.
    private var gapBytes: UInt64 = 1

    init(sizeBytes: UInt64, rangesMax: Int = rangesMax) {
        self.sizeBytes = sizeBytes
        self.rangesMax = rangesMax
    }

    /// Sorted, disjoint, none empty, none beyond the partition.
    var ranges: [Range<UInt64>] {
        var copy = self
        copy.order()
        return copy.gathered
    }

    /// Adds a range; what of it lies beyond the partition is left out. An end before its start is taken for an empty one.
    mutating func add(_ start: UInt64, _ end: UInt64) {
        let end = min(end, sizeBytes)
        guard start < end else { return }
        guard let last = gathered.last else {
            gathered.append(start..<end)
            return
        }
        if start >= last.lowerBound, start < last.upperBound || start - last.upperBound < gapBytes {
            gathered[gathered.count - 1] = last.lowerBound..<max(end, last.upperBound)
            return
        }
        if start < last.lowerBound { isOrdered = false }
        gathered.append(start..<end)
        guard gathered.count >= rangesMax else { return }
        order()
        while gathered.count > rangesMax / 2 {
            gapBytes = max(gapBytes * 2, 8192)
            merge()
        }
    }

    private mutating func order() {
        if !isOrdered { gathered.sort { $0.lowerBound < $1.lowerBound } }
        isOrdered = true
        merge()
    }

    private mutating func merge() {
        var merged: [Range<UInt64>] = []
        for range in gathered {
            if let last = merged.last, range.lowerBound < last.upperBound || range.lowerBound - last.upperBound < gapBytes {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        gathered = merged
    }
}
