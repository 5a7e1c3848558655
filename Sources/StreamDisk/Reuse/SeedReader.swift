import CosiFormat

/// Cuts one seed after the other into frames. It keeps the bytes that no frame has yet.
struct SeedReader {
    /// A frame that is not all zeros: where it is in `staging`, where in the seed, and how long.
    typealias Emit = (_ place: Int, _ offset: UInt64, _ bytes: Int) throws(Stopped) -> Void

    let staging: DirectBuffer
    private let meanBytes: Int
    private let zeroHash: UInt64
    private var cutter: FrameCutter
    /// What `staging` holds: bytes that no frame has yet.
    private var front = 0
    private var end = 0
    /// In the seed, behind the last frame.
    private var offset: UInt64 = 0

    /// - Parameter staging: new, for the longest frame, a stretch of zeros and some reads.
    init(cutter: FrameCutter, staging: DirectBuffer) {
        self.cutter = cutter
        self.staging = staging
        meanBytes = cutter.meanBytes
        zeroHash = staging.checksum(0, count: FrameCutter.blockBytes)
    }

    /// The next seed begins.
    mutating func start() {
        cutter = FrameCutter(meanBytes: meanBytes)
        (front, end, offset) = (0, 0, 0)
    }

    /// Reads `count` bytes behind those that are there.
    mutating func fill(_ seed: SeedFile, _ position: UInt64, _ count: Int) throws(SystemError) {
        if staging.sizeBytes - end < count {
            staging.move(from: front, to: 0, count: end - front)
            end -= front
            front = 0
        }
        try seed.read(position, count: count, into: staging, at: end)
        end += count
    }

    /// Shows the cutter the last `count` bytes, block by block: docs/CONTENT_INDEX.md has the rule.
    mutating func cut(_ count: Int, _ emit: Emit) throws(Stopped) {
        var (cutter, front, offset) = (cutter, front, offset)
        var at = end - count
        while at < end {
            let bytes = min(FrameCutter.blockBytes, end - at)
            let hash = staging.checksum(at, count: bytes)
            // Of a block at the seed's end the hash decides nothing.
            let isZero = (hash == zeroHash || bytes < FrameCutter.blockBytes) && staging.isZero(at, count: bytes)
            if isZero {
                try cutter.addZeros(UInt64(bytes)) { frame throws(Stopped) in try Self.pass(frame, &front, &offset, emit) }
            } else {
                try cutter.addData(hash: hash, bytes: bytes) { frame throws(Stopped) in
                    try Self.pass(frame, &front, &offset, emit)
                }
            }
            at += bytes
            if cutter.isInZeros { front = at }
        }
        (self.cutter, self.front, self.offset) = (cutter, front, offset)
    }

    /// The seed ends.
    mutating func finish(_ emit: Emit) throws(Stopped) {
        var (cutter, front, offset) = (cutter, front, offset)
        try cutter.finish { frame throws(Stopped) in try Self.pass(frame, &front, &offset, emit) }
        (self.cutter, self.front, self.offset) = (cutter, front, offset)
    }

    private static func pass(
        _ frame: FrameCutter.Frame, _ front: inout Int, _ offset: inout UInt64, _ emit: Emit
    ) throws(Stopped) {
        switch frame {
        case .data(let bytes):
            try emit(front, offset, bytes)
            front += bytes
            offset += UInt64(bytes)
        case .zeros(let bytes): offset += bytes
        }
    }
}
