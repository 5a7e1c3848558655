import CZstd

enum ZstdError: Error, Equatable {
    case truncated
    /// libzstd's own words.
    case corrupt(String)

    /// libzstd's words for a frame whose content is not what its checksum says.
    static let wrongChecksum = ZstdError.corrupt(unsafe String(cString: ZSTD_getErrorString(ZSTD_error_checksum_wrong)))

    init(_ code: Int) { self = .corrupt(unsafe String(cString: ZSTD_getErrorName(code))) }
}

/// Decodes frames block by block into memory that the caller owns and that also serves as the window: nothing is copied
/// after the decoder.
///
/// This is the seam for libzstd's buffer-less calls (zstd.h, "Buffer-less streaming functions"): should a release take them
/// away, `ZSTD_decompressStream` and one copy serve the same contract.
@safe
struct ZstdDecoder: ~Copyable {
    /// How far past a block's end the decoder may scribble: what it is given as capacity beyond the block's bytes.
    static let overrunBytes = 64

    // SAFETY: both are made in `init`, freed in `deinit`, used by one thread.
    private let context: OpaquePointer
    /// One byte outside of any ring.
    private let apart: UnsafeMutableRawPointer
    private var history = DecoderHistory()
    /// What has come of the frame's header.
    private var header: [UInt8] = []

    /// Nil without memory.
    init?() {
        guard let context = unsafe ZSTD_createDCtx() else { return nil }
        unsafe self.context = context
        unsafe apart = .allocate(byteCount: 1, alignment: 1)
        // zstd.h, ZSTD_d_forceIgnoreChecksum: `FrameChecksumVerifier` looks at what comes out. A refusal would cost speed only.
        _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_experimentalParam3, 1)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
        unsafe apart.deallocate()
    }

    /// The bytes that must stay addressable while decoding a frame: the ring is at least this large.
    static func windowAreaBytes(windowBytes: UInt64, contentBytes: UInt64?) -> UInt64 {
        // SIZE_MAX-like values come back for absurd windows; callers check the window against their limit first.
        UInt64(ZSTD_decodingBufferSize_min(windowBytes, contentBytes ?? UInt64.max))
    }

    /// Starts a frame.
    mutating func begin() throws(ZstdError) {
        let code = unsafe ZSTD_decompressBegin(context)
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        history = DecoderHistory()
        header = []
    }

    /// Exactly how many bytes the next `decode` takes; 0 when the frame has ended.
    var nextInputBytes: Int { unsafe ZSTD_nextSrcSizeToDecompress(context) }

    /// Whether the next piece is the content's checksum: four bytes, the lowest first. It is not checked here.
    var isAtChecksum: Bool { unsafe ZSTD_nextInputType(context) == ZSTDnit_checksum }

    /// Decodes the next piece of the frame: header, block header, block or checksum. A block that looks back past the frame's
    /// window is an error, whatever of it is still in `buffer`.
    ///
    /// - Parameters:
    ///   - input: exactly `nextInputBytes` bytes.
    ///   - output: where the block goes in `buffer`; successive blocks lie one behind the other, but for a jump to another
    ///     place when the ring wraps. At least the frame's largest block and `overrunBytes` are there.
    /// - Returns: the bytes that were decoded, 0 for pieces without content.
    mutating func decode(_ input: RawSpan, into buffer: DirectBuffer, at output: Int, capacity: Int) throws(ZstdError) -> Int {
        let type = unsafe ZSTD_nextInputType(context)
        if type == ZSTDnit_frameHeader { unsafe input.withUnsafeBytes { unsafe header.append(contentsOf: $0) } }
        history.goOn(at: output)
        if type == ZSTDnit_block || type == ZSTDnit_lastBlock { boundHistory(in: buffer) }
        // SAFETY: the caller owns these bytes of the ring: free slots, written by nobody else.
        let target = unsafe buffer.address(output, count: capacity)
        let code = unsafe input.withUnsafeBytes { source in
            unsafe ZSTD_decompressContinue(context, target, capacity, source.baseAddress, source.count)
        }
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        history.add(code)
        if type == ZSTDnit_frameHeader { try readHeader() }
        return code
    }

    /// It comes in two pieces.
    private mutating func readHeader() throws(ZstdError) {
        var parsed = ZSTD_frameHeader()
        let code = unsafe header.withUnsafeBytes { unsafe ZSTD_getFrameHeader(&parsed, $0.baseAddress, $0.count) }
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        if code == 0 { history.windowBytes = Int(clamping: parsed.windowSize) }
    }

    /// Makes libzstd know of no more than the window.
    private func boundHistory(in buffer: DirectBuffer) {
        guard let (before, current) = history.bounded else { return }
        // It knows of the stretch told last, and of the one told before that. Where all of the window is in one piece, the one
        // before is a copy of the byte before it: so a block can look at the right bytes only, or is refused.
        // SAFETY: these bytes of the ring were decoded, and stay until the lap has gone by; libzstd only notes the addresses.
        if before.isEmpty {
            unsafe apart.copyMemory(from: buffer.address(current.lowerBound - 1, count: 1), byteCount: 1)
            _ = unsafe ZSTD_insertBlock(context, apart, 1)
        } else {
            _ = unsafe ZSTD_insertBlock(context, buffer.address(before.lowerBound, count: before.count), before.count)
        }
        if !current.isEmpty {
            _ = unsafe ZSTD_insertBlock(context, buffer.address(current.lowerBound, count: current.count), current.count)
        }
    }

    /// Decodes a small image (all frames) into memory, never more than `sizeBytes`, by the rules that partition images are
    /// decoded by: frames of zstd's own format only, no dictionary, windows up to 2^`windowLogMax`, and in each frame as
    /// many bytes as it states.
    ///
    /// - Returns: all that came out, which may be less than `sizeBytes`.
    static func decode(_ input: [UInt8], sizeBytes: Int, windowLogMax: Int) throws(ZstdError) -> [UInt8] {
        guard let context = unsafe ZSTD_createDCtx() else { throw .corrupt("no memory") }
        defer { unsafe ZSTD_freeDCtx(context) }
        var output = [UInt8](repeating: 0, count: sizeBytes)
        var produced = 0
        var splitter = FrameSplitter()
        var at = 0
        var frame: (header: ZstdFrameHeader, start: Int)?
        while at < input.count {
            let (piece, byteCount) = try splitter.next(unsafe input.span.bytes.extracting(at..<input.count))
            at += byteCount
            switch piece {
            case .held, .skippable, .content: break
            case .frame(let header, let bytes):
                try check(header, windowBytesMax: 1 << UInt64(windowLogMax))
                frame = (header, at - bytes.count)
            case .contentToEnd:
                guard let (header, start) = frame.take() else { preconditionFailure("a frame without its header") }
                // SAFETY: each pointer lies in the array whose closure it is used in, with the count from there to the end.
                let count = unsafe output.withUnsafeMutableBytes { into in
                    unsafe input.withUnsafeBytes { from in
                        let (target, source) = unsafe (into[produced...], from[start..<at])
                        return unsafe ZSTD_decompressDCtx(
                            context, UnsafeMutableRawBufferPointer(rebasing: target).baseAddress, target.count,
                            UnsafeRawBufferPointer(rebasing: source).baseAddress, source.count)
                    }
                }
                if ZSTD_getErrorCode(count) == ZSTD_error_dstSize_tooSmall {
                    throw .corrupt("it decodes to more than the \(sizeBytes) bytes stated")
                }
                if ZSTD_isError(count) != 0 { throw ZstdError(count) }
                guard UInt64(count) == header.contentBytes ?? UInt64(count) else {
                    throw .corrupt("a frame holds \(count) bytes and states \(header.contentBytes ?? 0)")
                }
                produced += count
            }
        }
        guard splitter.isAtFrameEnd else { throw .truncated }
        output.removeLast(output.count - produced)
        return output
    }

    private static func check(_ header: ZstdFrameHeader, windowBytesMax: UInt64) throws(ZstdError) {
        if header.needsDictionary { throw .corrupt("a frame needs a dictionary; there are none in COSI") }
        if header.windowBytes > windowBytesMax {
            throw .corrupt(
                "a frame needs a window of \(header.windowBytes) bytes, compression.maxWindowLog allows \(windowBytesMax)")
        }
    }
}
