/// How ranges are zeroed on this device: punch a hole, else zero the range, else write zeros. The first range shows what the
/// device supports; the result holds for the run.
struct ZeroFallback {
    /// Long enough for few requests, short enough to wait for when a run is cancelled.
    static let rangeBytesMax = 256 << 20

    /// The method in use; nil: write zeros.
    private(set) var method: ZeroMethod?
    /// A source of zeros; never written to.
    let zeros: DirectBuffer

    /// - Parameter byDevice: false: write zeros from the start.
    init(byDevice: Bool) throws(StreamFault) {
        zeros = try DirectBuffer.reserved(sizeBytes: 1 << 20)
        method = byDevice ? ZeroMethod.allCases.first : nil
    }

    /// The next request for a range. When zeros are written, it covers only the first part of the range.
    func request(for range: Range<UInt64>) -> DiskRequest {
        let written = method == nil
        return DiskRequest(
            operation: method.map { .zero($0) } ?? .write, offset: range.lowerBound, buffer: written ? zeros : nil,
            bufferOffset: 0, lengthBytes: written ? min(range.count, zeros.sizeBytes) : range.count, tag: 0)
    }

    /// The device does not support `refused`. Several requests may have been in flight with it.
    mutating func next(after refused: ZeroMethod) {
        guard method == refused, let index = ZeroMethod.allCases.firstIndex(of: refused) else { return }
        method = ZeroMethod.allCases.dropFirst(index + 1).first
    }
}
