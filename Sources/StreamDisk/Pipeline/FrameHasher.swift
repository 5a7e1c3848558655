import CosiFormat

/// Bytes that were read from the disk in this run, as part of a frame whose SHA-256 is that of the image's index. Only a
/// `FrameHasher` makes one.
struct FoundBytes {
    let deviceOffset: UInt64
    let lengthBytes: Int
    /// XXH3 of the bytes if they will be read back.
    let checksum: UInt64?

    fileprivate init(deviceOffset: UInt64, lengthBytes: Int, checksum: UInt64?) {
        (self.deviceOffset, self.lengthBytes, self.checksum) = (deviceOffset, lengthBytes, checksum)
    }
}

/// Hashes what the disk holds at the places of neighbouring frames, and compares it with the index.
///
/// The last block of an image is padded: behind its last frame, up to the block's end, the disk must hold zeros.
struct FrameHasher: ~Copyable {
    private let frames: ArraySlice<ContentIndex.Frame>
    private let blockBytes: Int
    private let keepsChecksums: Bool
    private var deviceOffset: UInt64
    private var digest = MessageDigest(.sha256)
    /// The frame that is being hashed, and how much of it and of its padding is missing.
    private var index: Int
    private var contentLeft = 0
    private var paddingLeft = 0
    private var isOther = false
    private var pieces: [FoundBytes] = []

    /// - Parameter deviceOffset: where the first frame's place begins.
    init(_ frames: ArraySlice<ContentIndex.Frame>, deviceOffset: UInt64, blockBytes: Int, keepsChecksums: Bool) {
        self.frames = frames
        self.deviceOffset = deviceOffset
        self.blockBytes = blockBytes
        self.keepsChecksums = keepsChecksums
        index = frames.startIndex
        begin()
    }

    private mutating func begin() {
        guard index < frames.endIndex else { return }
        contentLeft = Int(frames[index].contentBytes)
        paddingLeft = (contentLeft + blockBytes - 1) / blockBytes * blockBytes - contentLeft
        isOther = false
        pieces = []
    }

    /// Takes the next bytes of the disk, at most a slot's.
    ///
    /// - Parameters:
    ///   - isRead: false if the disk could not be read there: then the frames are taken to be missing.
    ///   - judge: called for each frame that ends in them: with its bytes if it is there, else with nil.
    mutating func take(
        _ buffer: DirectBuffer, _ start: Int, count: Int, isRead: Bool, _ judge: (Int, [FoundBytes]?) -> Void
    ) {
        var at = start
        let end = start + count
        while at < end {
            precondition(index < frames.endIndex, "bytes behind the last frame")
            let content = min(end - at, contentLeft)
            let padding = min(end - at - content, paddingLeft)
            if isRead {
                if content > 0 { buffer.withBytes(at, count: content) { digest.update($0) } }
                if padding > 0, !buffer.isZero(at + content, count: padding) { isOther = true }
                pieces.append(
                    FoundBytes(
                        deviceOffset: deviceOffset, lengthBytes: content + padding,
                        checksum: keepsChecksums ? buffer.checksum(at, count: content + padding) : nil))
            } else {
                isOther = true
            }
            contentLeft -= content
            paddingLeft -= padding
            at += content + padding
            deviceOffset += UInt64(content + padding)
            guard contentLeft == 0, paddingLeft == 0 else { continue }
            let isFound = ContentHash(digest.finish()) == frames[index].sha256 && !isOther
            judge(index, isFound ? pieces : nil)
            index += 1
            begin()
        }
    }
}
