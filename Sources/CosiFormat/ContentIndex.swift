/// The SHA-256 of a frame's content: a key to look it up by.
package struct ContentHash: Sendable, Hashable {
    package static let byteCount = 32

    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// - Parameter bytes: the 32 bytes of the digest.
    package init(_ bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount)
        self.init(bytes, at: 0)
    }

    init(_ bytes: [UInt8], at offset: Int) {
        words = (
            bytes.littleEndian64(at: offset), bytes.littleEndian64(at: offset + 8), bytes.littleEndian64(at: offset + 16),
            bytes.littleEndian64(at: offset + 24)
        )
    }

    package var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        write(to: &bytes, at: 0)
        return bytes
    }

    func write(to bytes: inout [UInt8], at offset: Int) {
        bytes.setLittleEndian(words.0, at: offset)
        bytes.setLittleEndian(words.1, at: offset + 8)
        bytes.setLittleEndian(words.2, at: offset + 16)
        bytes.setLittleEndian(words.3, at: offset + 24)
    }

    package static func == (left: ContentHash, right: ContentHash) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// What the frames of one image hold: docs/CONTENT_INDEX.md has its layout, which is version 1.
///
/// It stands in a skippable frame before the image's first data frame. A region's ``CosiMetadata/ContentIndexPlace`` says
/// where, and has its SHA-384, so that the hash of the metadata covers it.
package struct ContentIndex: Sendable, Equatable {
    /// One data frame of the image.
    package struct Frame: Sendable, Equatable {
        /// From the image's first compressed byte.
        package let compressedOffset: UInt64
        package let compressedBytes: UInt32
        /// From the partition's first byte: a multiple of ``FrameCutter/blockBytes``.
        package let contentOffset: UInt64
        /// 1 to ``frameBytesMax``; a multiple of ``FrameCutter/blockBytes`` in all frames but the last.
        package let contentBytes: UInt32
        /// Whether the content is nothing but zeros.
        package let isZero: Bool
        package let sha256: ContentHash

        package init(
            compressedOffset: UInt64, compressedBytes: UInt32, contentOffset: UInt64, contentBytes: UInt32, isZero: Bool,
            sha256: ContentHash
        ) {
            self.compressedOffset = compressedOffset
            self.compressedBytes = compressedBytes
            self.contentOffset = contentOffset
            self.contentBytes = contentBytes
            self.isZero = isZero
            self.sha256 = sha256
        }
    }

    package static let version: UInt32 = 1
    package static let headerBytes = 64
    package static let recordBytes = 64
    /// More are refused: an index of 256 MiB, of frames that hold more than a TiB unless they are very small.
    package static let frameCountMax = 4 << 20
    package static let bytesMax = headerBytes + frameCountMax * recordBytes
    /// A frame with more content is refused: a reader holds one in memory. The longest that a ``FrameCutter`` makes.
    package static let frameBytesMax = 64 << 20

    private static let magic = Array("COSI-IDX".utf8)
    private static let zeroFlag: UInt32 = 1

    /// The mean that the frames were cut for: with it another file is cut as this image was (``FrameCutter``).
    package let meanFrameBytes: Int
    /// In order and without gaps, both as compressed bytes and as content.
    package let frames: [Frame]

    package init(meanFrameBytes: Int, frames: [Frame]) {
        self.meanFrameBytes = meanFrameBytes
        self.frames = frames
    }

    /// Of the content of all frames: the partition's image.
    package var contentBytes: UInt64 { frames.last.map { $0.contentOffset + UInt64($0.contentBytes) } ?? 0 }

    /// How many bytes an index of so many frames has.
    package static func byteCount(frames: Int) -> Int { headerBytes + frames * recordBytes }

    package func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount(frames: frames.count))
        for (at, byte) in Self.magic.enumerated() { bytes[at] = byte }
        bytes.setLittleEndian(Self.version, at: 8)
        bytes.setLittleEndian(UInt32(Self.recordBytes), at: 12)
        bytes.setLittleEndian(UInt64(frames.count), at: 16)
        bytes.setLittleEndian(contentBytes, at: 24)
        bytes.setLittleEndian(UInt32(FrameCutter.ruleNumber), at: 32)
        bytes.setLittleEndian(UInt32(meanFrameBytes), at: 36)
        for (index, frame) in frames.enumerated() {
            let at = Self.headerBytes + index * Self.recordBytes
            bytes.setLittleEndian(frame.compressedOffset, at: at)
            bytes.setLittleEndian(frame.contentOffset, at: at + 8)
            bytes.setLittleEndian(frame.compressedBytes, at: at + 16)
            bytes.setLittleEndian(frame.contentBytes, at: at + 20)
            bytes.setLittleEndian(frame.isZero ? Self.zeroFlag : 0, at: at + 24)
            frame.sha256.write(to: &bytes, at: at + 32)
        }
        return bytes
    }

    /// Reads an index whose SHA-384 was checked, and checks that it can be the one of this image.
    ///
    /// - Parameters:
    ///   - bytes: at most ``bytesMax``, as ``CosiMetadata/parse(_:)`` sees to.
    ///   - image: whose frames it lists.
    ///   - place: where the index is in the image: no frame may overlap it.
    package init(
        _ bytes: [UInt8], of image: CosiMetadata.ImageFile, at place: CosiMetadata.ContentIndexPlace
    ) throws(FormatError) {
        func error(_ problem: String) -> FormatError {
            FormatError(.data, place: "content index of \(quoted(image.path))", problem: problem)
        }
        guard bytes.count >= Self.headerBytes, bytes.starts(with: Self.magic) else {
            throw error("does not begin with 'COSI-IDX'")
        }
        let version = bytes.littleEndian32(at: 8)
        guard version == Self.version else {
            throw error("is of version \(version); this program reads version \(Self.version)")
        }
        let recordBytes = bytes.littleEndian32(at: 12)
        guard recordBytes == Self.recordBytes else {
            throw error("has records of \(recordBytes) bytes, must be \(Self.recordBytes)")
        }
        let count = bytes.littleEndian64(at: 16)
        guard count <= Self.frameCountMax, bytes.count == Self.byteCount(frames: Int(count)) else {
            throw error("is \(bytes.count) bytes, which \(count) frames do not take")
        }
        let rule = bytes.littleEndian32(at: 32)
        let mean = bytes.littleEndian32(at: 36)
        guard rule == FrameCutter.ruleNumber, FrameCutter.isMean(Int(mean)) else {
            throw error("names rule \(rule) and a mean of \(mean) bytes, by which no frames are cut")
        }
        guard bytes[40..<Self.headerBytes].allSatisfy({ $0 == 0 }) else {
            throw error("holds something where version \(Self.version) has zeros")
        }
        var frames: [Frame] = []
        frames.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            let frame = try Self.frame(bytes, index, after: frames.last, error)
            if frame.compressedOffset < place.offset + place.sizeBytes,
                place.offset < frame.compressedOffset + UInt64(frame.compressedBytes)
            {
                throw error("lists a frame \(index) that overlaps the index itself")
            }
            guard index == count - 1 || Int(frame.contentBytes) % FrameCutter.blockBytes == 0 else {
                throw error("lists a frame \(index) of \(frame.contentBytes) bytes, which is no whole number of blocks")
            }
            frames.append(frame)
        }
        let compressedEnd = frames.last.map { $0.compressedOffset + UInt64($0.compressedBytes) } ?? 0
        guard compressedEnd == image.compressedSizeBytes else {
            throw error("lists frames up to byte \(compressedEnd) of an image of \(image.compressedSizeBytes)")
        }
        meanFrameBytes = Int(mean)
        self.frames = frames
        guard contentBytes == image.uncompressedSizeBytes, bytes.littleEndian64(at: 24) == contentBytes else {
            throw error("lists frames of \(contentBytes) bytes in all, the image has \(image.uncompressedSizeBytes)")
        }
    }

    /// The record `index`, which goes on where the one before ends.
    private static func frame(
        _ bytes: [UInt8], _ index: Int, after previous: Frame?, _ error: (String) -> FormatError
    ) throws(FormatError) -> Frame {
        let at = headerBytes + index * recordBytes
        let frame = Frame(
            compressedOffset: bytes.littleEndian64(at: at), compressedBytes: bytes.littleEndian32(at: at + 16),
            contentOffset: bytes.littleEndian64(at: at + 8), contentBytes: bytes.littleEndian32(at: at + 20),
            isZero: bytes.littleEndian32(at: at + 24) == zeroFlag, sha256: ContentHash(bytes, at: at + 32))
        guard bytes.littleEndian32(at: at + 24) <= zeroFlag, bytes.littleEndian32(at: at + 28) == 0 else {
            throw error("marks frame \(index) in a way that version \(version) does not know")
        }
        guard frame.compressedBytes > 0, frame.contentBytes > 0, frame.contentBytes <= frameBytesMax else {
            throw error("lists a frame \(index) of \(frame.compressedBytes) bytes with \(frame.contentBytes) of content")
        }
        guard frame.compressedOffset <= UInt64(Int64.max) else {
            throw error("lists a frame \(index) at byte \(frame.compressedOffset)")
        }
        let content = previous.map { $0.contentOffset + UInt64($0.contentBytes) } ?? 0
        let compressed = previous.map { $0.compressedOffset + UInt64($0.compressedBytes) } ?? frame.compressedOffset
        guard frame.contentOffset == content, frame.compressedOffset == compressed else {
            throw error("lists a frame \(index) that does not begin where the one before ends")
        }
        return frame
    }
}

extension CosiMetadata.ContentIndexPlace {
    /// How many frames an index of this size lists.
    package var frameCount: Int {
        max(0, Int(clamping: sizeBytes) - ContentIndex.headerBytes) / ContentIndex.recordBytes
    }
}
