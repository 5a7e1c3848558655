import CZstd

enum ZstdError: Error, Equatable {
    case truncated
    /// libzstd's error text.
    case corrupt(String)

    /// libzstd's error for a frame whose content does not match its checksum.
    static let wrongChecksum = ZstdError.corrupt(unsafe String(cString: ZSTD_getErrorString(ZSTD_error_checksum_wrong)))

    init(_ code: Int) { self = .corrupt(unsafe String(cString: ZSTD_getErrorName(code))) }
}

/// Decodes frames block by block into memory that the caller owns and that also serves as the window. Nothing is copied after
/// the decoder.
///
/// This is the one place that uses libzstd's buffer-less calls (zstd.h, "Buffer-less streaming functions"). If a release
/// removes them, `ZSTD_decompressStream` and one copy can serve the same contract.
@safe
struct ZstdDecoder: ~Copyable {
    /// How many bytes past a block's end the decoder may overwrite; they are part of the capacity it is given.
    static let overrunBytes = 64

    // SAFETY: both are made in `init`, freed in `deinit`, and used by one thread.
    private let context: OpaquePointer
    /// One byte outside any ring.
    private let apart: UnsafeMutableRawPointer
    private var history = DecoderHistory()
    /// The bytes of the frame's header received so far.
    private var header: [UInt8] = []

    /// Nil if there is no memory.
    init?() {
        guard let context = unsafe ZSTD_createDCtx() else { return nil }
        unsafe self.context = context
        unsafe apart = .allocate(byteCount: 1, alignment: 1)
        // zstd.h, ZSTD_d_forceIgnoreChecksum: `FrameChecksumVerifier` verifies the content. If libzstd refuses, only speed is
        // lost.
        _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_experimentalParam3, 1)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
        unsafe apart.deallocate()
    }

    /// The number of bytes that must stay addressable while a frame is decoded. A ring has at least this size.
    static func windowAreaBytes(windowBytes: UInt64, contentBytes: UInt64?) -> UInt64 {
        // Absurd windows give values near SIZE_MAX; callers check the window against their limit first.
        UInt64(ZSTD_decodingBufferSize_min(windowBytes, contentBytes ?? UInt64.max))
    }

    /// Starts a frame.
    mutating func begin() throws(ZstdError) {
        let code = unsafe ZSTD_decompressBegin(context)
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        history = DecoderHistory()
        header = []
    }

    /// Exactly the number of bytes that the next `decode` takes; 0 if the frame has ended.
    var nextInputBytes: Int { unsafe ZSTD_nextSrcSizeToDecompress(context) }

    /// Whether the next input is the content checksum: four bytes, little-endian. It is not verified here.
    var isAtChecksum: Bool { unsafe ZSTD_nextInputType(context) == ZSTDnit_checksum }

    /// Decodes the next part of the frame: header, block header, block or checksum. Throws if a block refers to bytes beyond
    /// the frame's window, even if they are still in `buffer`.
    ///
    /// - Parameters:
    ///   - input: exactly `nextInputBytes` bytes.
    ///   - output: where the block goes in `buffer`. Successive blocks are contiguous, except for a jump when the ring wraps.
    ///     There is room for the frame's largest block and `overrunBytes`.
    /// - Returns: the number of decoded bytes; 0 for parts without content.
    mutating func decode(_ input: RawSpan, into buffer: DirectBuffer, at output: Int, capacity: Int) throws(ZstdError) -> Int {
        let type = unsafe ZSTD_nextInputType(context)
        if type == ZSTDnit_frameHeader { unsafe input.withUnsafeBytes { unsafe header.append(contentsOf: $0) } }
        history.goOn(at: output)
        if type == ZSTDnit_block || type == ZSTDnit_lastBlock { boundHistory(in: buffer) }
        // SAFETY: the caller owns these bytes of the ring: their slots are free, and no other thread writes there.
        let target = unsafe buffer.address(output, count: capacity)
        let code = unsafe input.withUnsafeBytes { source in
            unsafe ZSTD_decompressContinue(context, target, capacity, source.baseAddress, source.count)
        }
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        history.add(code)
        if type == ZSTDnit_frameHeader { try readHeader() }
        return code
    }

    /// It arrives in two parts.
    private mutating func readHeader() throws(ZstdError) {
        var parsed = ZSTD_frameHeader()
        let code = unsafe header.withUnsafeBytes { unsafe ZSTD_getFrameHeader(&parsed, $0.baseAddress, $0.count) }
        if ZSTD_isError(code) != 0 { throw ZstdError(code) }
        if code == 0 { history.windowBytes = Int(clamping: parsed.windowSize) }
    }

    /// Restricts what libzstd knows of to the window.
    private func boundHistory(in buffer: DirectBuffer) {
        guard let (before, current) = history.bounded else { return }
        // libzstd knows two segments: the one inserted last and the one before it. If the window fits into one segment, the
        // other is set to a copy of the byte before it, so that a block refers to the right bytes or is refused.
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

    /// Decodes a small image (all frames) into memory, `sizeBytes` at most, by the rules for partition images: only zstd's own
    /// frame format, no dictionary, windows up to 2^`windowLogMax`, and in each frame exactly the stated number of bytes.
    ///
    /// - Returns: the decoded bytes, which may be fewer than `sizeBytes`.
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
                // SAFETY: each pointer is used only inside its array's closure, with the count from there to the array's end.
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
