import Glibc

// Zero extents by the device: punch a hole, else zero the range, else write zeros. Which of them a device does is found out by
// the first extent and holds for the run.
extension DiskWriter where Queue: ~Copyable {
    /// One request for long runs of zeros, but one that can be waited for when a run is cancelled.
    static var zeroingBytesMax: Int { 256 << 20 }

    /// Zeroes a range by the method in use. The range continues behind the request where zeros are written piece by piece.
    mutating func startZeroing(_ offset: UInt64, lengthBytes: Int) {
        if zeroRung < ZeroMethod.allCases.count {
            submit(
                DiskRequest(
                    operation: .zero(ZeroMethod.allCases[zeroRung]), offset: offset, buffer: nil, bufferOffset: 0,
                    lengthBytes: lengthBytes, tag: 0), slot: nil)
        } else {
            let count = min(lengthBytes, zeros.sizeBytes)
            submit(
                DiskRequest(
                    operation: .write, offset: offset, buffer: zeros, bufferOffset: 0, lengthBytes: count, tag: 0),
                slot: nil, zeroBytesLeft: lengthBytes - count)
        }
    }

    /// The same range to be tried again by the next method, when `error` says that the device does not do this one; nil for
    /// an error of the device.
    mutating func nextRung(after request: DiskRequest, error: SystemError) -> DiskRequest? {
        guard case .zero(let method) = request.operation, let rung = ZeroMethod.allCases.firstIndex(of: method),
            [EOPNOTSUPP, ENOSYS, EINVAL, ENOTTY, ENODEV, EPERM].contains(error.code)
        else { return nil }
        // Several may be in flight with the old method.
        zeroRung = max(zeroRung, rung + 1)
        return request
    }
}

extension DiskRequest.Operation {
    var isFlush: Bool { if case .flush = self { true } else { false } }
    var isWrite: Bool { if case .write = self { true } else { false } }
    var isZeroing: Bool { if case .zero = self { true } else { false } }
}

extension DiskRequest {
    /// What a completion must report as moved.
    var bytesToMove: Int { operation.isFlush || operation.isZeroing ? 0 : lengthBytes }
}
