/// How ranges are zeroed on this device: punch a hole, else zero the range, else write zeros. What the device does not do is
/// found out by the first range, and holds for the run.
struct ZeroFallback {
    /// One request for long ranges, but one that can be waited for when a run is cancelled.
    static let rangeBytesMax = 256 << 20

    /// The method in use; nil: zeros are written.
    private(set) var method: ZeroMethod?
    /// Zeros to write. Never written to.
    let zeros: DirectBuffer

    /// - Parameter byDevice: false writes zeros from the start.
    init(byDevice: Bool) throws(StreamFault) {
        zeros = try DirectBuffer.reserved(sizeBytes: 1 << 20)
        method = byDevice ? ZeroMethod.allCases.first : nil
    }

    /// The next request for a range. Where zeros are written, it covers only the first of them.
    func request(for range: Range<UInt64>) -> DiskRequest {
        let written = method == nil
        return DiskRequest(
            operation: method.map { .zero($0) } ?? .write, offset: range.lowerBound, buffer: written ? zeros : nil,
            bufferOffset: 0, lengthBytes: written ? min(range.count, zeros.sizeBytes) : range.count, tag: 0)
    }

    /// The device does not do `refused`. Several requests may have been in flight with it.
    mutating func next(after refused: ZeroMethod) {
        guard method == refused, let index = ZeroMethod.allCases.firstIndex(of: refused) else { return }
        method = ZeroMethod.allCases.dropFirst(index + 1).first
    }
}
