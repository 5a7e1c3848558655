/// Which bytes of the disk were handed to the writer, or compared: the proof that images were covered, each byte exactly once.
///
/// It trusts nobody's lengths, neither a frame's nor a lane's: only the extents themselves count. Extents that touch become one
/// range, so what is kept is about one range a lane and a partition, and a stretch of frames that wait for an earlier one.
package struct ExtentAccount {
    /// In order, disjoint, and never touching.
    private(set) var ranges: [Range<UInt64>] = []
    private(set) var totalBytes: UInt64 = 0

    /// Counts a range; what of it was counted before is returned, and then nothing is counted.
    mutating func add(_ range: Range<UInt64>) -> Range<UInt64>? {
        // Most extents continue the last range but few.
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

    /// The first bytes that only one of the two has; nil when both have the same.
    func firstDifference(from expected: ExtentAccount) -> Range<UInt64>? {
        // Where both begin or end, neither differs from the other: what is left are the bounds of what only one has.
        let bounds = bounds.symmetricDifference(expected.bounds).sorted()
        return bounds.count < 2 ? nil : bounds[0]..<bounds[1]
    }

    private var bounds: Set<UInt64> { Set(ranges.flatMap { [$0.lowerBound, $0.upperBound] }) }
}
