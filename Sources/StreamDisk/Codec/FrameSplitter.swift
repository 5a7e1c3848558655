import CZstd

/// The header of a zstd data frame (RFC 8878 §3.1.1.1).
struct ZstdFrameHeader: Equatable, Sendable {
    var windowBytes: UInt64
    /// Nil if the frame does not state it.
    var contentBytes: UInt64?
    var blockBytesMax: Int
    var needsDictionary: Bool
    var hasChecksum: Bool
}

/// Finds the frames in compressed bytes as they arrive, without decoding them, by their headers and block sizes (RFC 8878
/// §3.1). So frames can go to several decoders while bytes still arrive.
struct FrameSplitter {
    /// What the next `byteCount` bytes are.
    enum Piece: Equatable {
        /// Part of a header that is not complete yet. Its bytes are repeated with `frame`.
        case held
        /// The end of a frame's header. `bytes` is the whole header.
        case frame(ZstdFrameHeader, bytes: [UInt8])
        /// Content of the latest frame.
        case content
        /// Content that ends the latest frame.
        case contentToEnd
        /// Part of a skippable frame.
        case skippable
    }

    private enum State {
        case between
        /// `have` bytes of a block's header were seen, with `value`.
        case blockHeader(have: Int, value: UInt32)
        case block(left: Int, isLast: Bool)
        case checksum(left: Int)
        case skippable(left: UInt64)
    }

    private var state = State.between
    private var header: [UInt8] = []
    private var hasChecksum = false

    /// Whether all bytes so far form whole frames.
    var isAtFrameEnd: Bool {
        switch state {
        case .between: header.isEmpty
        case .skippable(let left): left == 0
        case .blockHeader, .block, .checksum: false
        }
    }

    /// Classifies the first bytes of `bytes`, which must not be empty, and returns how many they are.
    mutating func next(_ bytes: RawSpan) throws(ZstdError) -> (piece: Piece, byteCount: Int) {
        if case .skippable(let left) = state {
            if left == 0 {
                state = .between
            } else {
                let count = Int(min(left, UInt64(bytes.byteCount)))
                state = .skippable(left: left - UInt64(count))
                return (.skippable, count)
            }
        }
        if case .between = state { return try nextHeader(bytes) }
        return try nextContent(bytes)
    }

    private mutating func nextHeader(_ bytes: RawSpan) throws(ZstdError) -> (piece: Piece, byteCount: Int) {
        for index in 0..<bytes.byteCount {
            header.append(unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            guard let parsed = try parseHeader() else { continue }
            defer { header = [] }
            if parsed.frameType == ZSTD_skippableFrame {
                state = .skippable(left: parsed.frameContentSize)
                return (.skippable, index + 1)
            }
            state = .blockHeader(have: 0, value: 0)
            hasChecksum = parsed.checksumFlag != 0
            let frame = ZstdFrameHeader(
                windowBytes: parsed.windowSize,
                contentBytes: parsed.frameContentSize == UInt64.max ? nil : parsed.frameContentSize,
                blockBytesMax: Int(parsed.blockSizeMax), needsDictionary: parsed.dictID != 0, hasChecksum: hasChecksum)
            return (.frame(frame, bytes: header), index + 1)
        }
        return (.held, bytes.byteCount)
    }

    /// Nil while bytes are missing.
    private func parseHeader() throws(ZstdError) -> ZSTD_frameHeader? {
        var parsed = ZSTD_frameHeader()
        let code = unsafe header.withUnsafeBytes { unsafe ZSTD_getFrameHeader(&parsed, $0.baseAddress, $0.count) }
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        return code == 0 ? parsed : nil
    }

    private mutating func nextContent(_ bytes: RawSpan) throws(ZstdError) -> (piece: Piece, byteCount: Int) {
        var index = 0
        while index < bytes.byteCount {
            switch state {
            case .blockHeader(let have, let value):
                let byte = UInt32(unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self))
                index += 1
                let sum = value | byte << UInt32(8 * have)
                state = have < 2 ? .blockHeader(have: have + 1, value: sum) : try block(sum)
            case .block(let left, let isLast):
                let count = min(left, bytes.byteCount - index)
                index += count
                state = .block(left: left - count, isLast: isLast)
            case .checksum(let left):
                let count = min(left, bytes.byteCount - index)
                index += count
                state = .checksum(left: left - count)
            case .between, .skippable:
                preconditionFailure("not inside a frame")
            }
            if passEmptyParts() { return (.contentToEnd, index) }
        }
        return (.content, index)
    }

    /// Moves past parts that have no bytes left; returns whether that ended the frame.
    private mutating func passEmptyParts() -> Bool {
        if case .block(left: 0, let isLast) = state {
            state = isLast ? .checksum(left: hasChecksum ? 4 : 0) : .blockHeader(have: 0, value: 0)
        }
        guard case .checksum(left: 0) = state else { return false }
        state = .between
        return true
    }

    /// A block's header: last flag, type, size (RFC 8878 §3.1.1.2).
    private func block(_ value: UInt32) throws(ZstdError) -> State {
        let size = Int(value >> 3)
        switch value >> 1 & 3 {
        case 1: return .block(left: 1, isLast: value & 1 != 0)
        case 0, 2: return .block(left: size, isLast: value & 1 != 0)
        default: throw .corrupt("a block of the reserved type")
        }
    }
}
