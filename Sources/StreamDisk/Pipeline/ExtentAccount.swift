/// The bytes of the disk that were handed to the consumer: the proof that the images were covered, each byte exactly once.
///
/// It uses no length that a frame or lane states; only the extents count. Adjacent extents are merged, so it holds about one
/// range per lane and partition, plus frames that wait for an earlier one.
package struct ExtentAccount {
    /// Sorted, disjoint and never adjacent.
    private(set) var ranges: [Range<UInt64>] = []
    private(set) var totalBytes: UInt64 = 0

    /// Counts a range. If part of it was counted before, returns that part and counts nothing.
    mutating func add(_ range: Range<UInt64>) -> Range<UInt64>? {
        // Most extents continue one of the last ranges.
        var after = ranges.count
        while after > 0, ranges[after - 1].upperBound > range.upperBound { after -= 1 }
        if after < ranges.count, ranges[after].lowerBound < range.upperBound {
            return max(range.lowerBound, ranges[after].lowerBound)..<range.upperBound
        }
        if after > 0, ranges[after - 1].upperBound > range.lowerBound {
            return max(range.lowerBound, ranges[after - 1].lowerBound)..<ranges[after - 1].upperBound
        }
        totalBytes += range.upperBound - range.lowerBound
        let touchesNext = after < ranges.count && ranges[after].lowerBound == range.upperBound
        let touchesPrevious = after > 0 && ranges[after - 1].upperBound == range.lowerBound
        switch (touchesPrevious, touchesNext) {
        case (true, true):
            ranges[after - 1] = ranges[after - 1].lowerBound..<ranges[after].upperBound
            ranges.remove(at: after)
        case (true, false): ranges[after - 1] = ranges[after - 1].lowerBound..<range.upperBound
        case (false, true): ranges[after] = range.lowerBound..<ranges[after].upperBound
        case (false, false): ranges.insert(range, at: after)
        }
        return nil
    }

    /// The first range that only one of the two contains; nil if they are equal.
    func firstDifference(from expected: ExtentAccount) -> Range<UInt64>? {
        // Bounds common to both cancel out. What remains are the bounds of ranges that only one contains.
        let bounds = bounds.symmetricDifference(expected.bounds).sorted()
        return bounds.count < 2 ? nil : bounds[0]..<bounds[1]
    }

    private var bounds: Set<UInt64> { Set(ranges.flatMap { [$0.lowerBound, $0.upperBound] }) }
}
