import CosiFormat
import Glibc
import StreamDisk

/// Reads the contents of partitions with large reads, cuts them into frames, and hands those to the compressors.
struct FrameReader: ~Copyable {
    /// What one call of read asks for: enough for any disk to work at its speed.
    private static let readBytes = 1 << 20

    private let queue: FrameQueue
    private let staging: DirectBuffer
    private let zeroHash: UInt64
    private var cutter: FrameCutter
    /// What `staging` holds: bytes that no frame has yet.
    private var front = 0
    private var end = 0
    private var image = 0

    /// - Parameter meanBytes: of the frames.
    init(_ queue: FrameQueue, _ cutter: FrameCutter) throws(SystemError) {
        self.queue = queue
        self.cutter = cutter
        // What is undecided is less than the longest frame and a stretch; the rest saves moves.
        staging = try DirectBuffer(sizeBytes: Self.stagingBytes(cutter))
        zeroHash = staging.checksum(0, count: FrameCutter.blockBytes)
    }

    static func stagingBytes(_ cutter: FrameCutter) -> Int {
        cutter.mostBytes + cutter.zeroStretchBytes + 8 * readBytes
    }

    /// - Parameters:
    ///   - image: its place among the images of the run.
    ///   - runs: of ``PackPlan/Image``.
    mutating func read(
        _ content: PartitionContent, runs: [Range<UInt64>], path: String, image: Int
    ) throws(FrameQueue.Stopped) {
        self.image = image
        // Only speed depends on it.
        posix_fadvise(content.descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        var position: UInt64 = 0
        var next = 0
        for run in runs {
            try addZeros(run.lowerBound - position)
            position = run.lowerBound
            while position < run.upperBound {
                let count = Int(min(UInt64(Self.readBytes), run.upperBound - position))
                try fill(content, position..<position + UInt64(count), &next, path)
                try cut(count)
                position += UInt64(count)
            }
        }
        try addZeros(content.sizeBytes - position)
        try cutFrames { cutter, emit throws(FrameQueue.Stopped) in try cutter.finish(emit) }
        front = 0
        end = 0
    }

    private mutating func addZeros(_ bytes: UInt64) throws(FrameQueue.Stopped) {
        guard bytes > 0 else { return }
        try cutFrames { cutter, emit throws(FrameQueue.Stopped) in try cutter.addZeros(bytes, emit) }
        front = end
    }

    // MARK: Reading

    /// Puts the bytes of `range` behind those that are there; what is no data is zero.
    ///
    /// - Parameter next: the first range of data that does not lie before `range`.
    private mutating func fill(
        _ content: PartitionContent, _ range: Range<UInt64>, _ next: inout Int, _ path: String
    ) throws(FrameQueue.Stopped) {
        if staging.sizeBytes - end < range.count {
            staging.move(from: front, to: 0, count: end - front)
            end -= front
            front = 0
        }
        var position = range.lowerBound
        while position < range.upperBound {
            while next < content.data.count, content.data[next].upperBound <= position { next += 1 }
            let data = next < content.data.count ? content.data[next] : range.upperBound..<range.upperBound
            if data.lowerBound > position {
                let count = Int(min(data.lowerBound, range.upperBound) - position)
                staging.zero(end + Int(position - range.lowerBound), count: count)
                position += UInt64(count)
            } else {
                let count = Int(min(data.upperBound, range.upperBound) - position)
                try read(content, position, count, to: end + Int(position - range.lowerBound), path)
                position += UInt64(count)
            }
        }
        end += range.count
    }

    private func read(
        _ content: PartitionContent, _ position: UInt64, _ count: Int, to target: Int, _ path: String
    ) throws(FrameQueue.Stopped) {
        var done = 0
        while done < count {
            let offset = content.offsetBytes + position + UInt64(done)
            // SAFETY: `address` checks that so many bytes lie there, and no other thread uses this buffer.
            let result = unsafe pread(
                content.descriptor, staging.address(target + done, count: count - done), count - done, off_t(offset))
            if result > 0 {
                done += result
            } else if result == 0 {
                queue.fail(.truncated(path: path, offset: offset))
                throw FrameQueue.Stopped()
            } else {
                let cause = SystemError.current
                if cause.code == EINTR { continue }
                queue.fail(.read(path: path, offset: offset, lengthBytes: UInt64(count - done), cause: cause))
                throw FrameQueue.Stopped()
            }
        }
        try queue.countRead(UInt64(count))
    }

    // MARK: Cutting

    /// Shows the cutter the last `count` bytes, block by block.
    private mutating func cut(_ count: Int) throws(FrameQueue.Stopped) {
        var at = end - count
        while at < end {
            let bytes = min(FrameCutter.blockBytes, end - at)
            let hash = staging.checksum(at, count: bytes)
            // Of a block at the image's end the hash decides nothing.
            let isZero = (hash == zeroHash || bytes < FrameCutter.blockBytes) && staging.isZero(at, count: bytes)
            try cutFrames { cutter, emit throws(FrameQueue.Stopped) in
                if isZero {
                    try cutter.addZeros(UInt64(bytes), emit)
                } else {
                    try cutter.addData(hash: hash, bytes: bytes, emit)
                }
            }
            at += bytes
            if cutter.isInZeros { front = at }
        }
    }

    private mutating func cutFrames(
        _ body: (inout FrameCutter, (FrameCutter.Frame) throws(FrameQueue.Stopped) -> Void) throws(FrameQueue.Stopped) -> Void
    ) throws(FrameQueue.Stopped) {
        let (queue, staging, image) = (queue, staging, image)
        var front = front
        try body(&cutter) { frame throws(FrameQueue.Stopped) in
            let slot = try queue.takeFree()
            slot.image = image
            switch frame {
            case .data(let bytes):
                staging.withBytes(front, count: bytes) { slot.content.copy($0, to: 0) }
                slot.contentBytes = bytes
                slot.isZero = false
                front += bytes
            case .zeros(let bytes):
                slot.contentBytes = Int(bytes)
                slot.isZero = true
            }
            queue.add(slot)
        }
        self.front = front
    }
}
