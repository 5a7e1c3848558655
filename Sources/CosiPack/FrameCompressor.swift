import CZstd
import CosiFormat
import Glibc
import StreamDisk

/// Compresses frames, each on its own, with the length of its content and a checksum of it in the frame.
@safe
struct FrameCompressor: ~Copyable {
    // SAFETY: made in `init`, freed in `deinit`, used by one thread.
    private let context: OpaquePointer
    /// Never written, so that it takes no memory.
    private let zeros: DirectBuffer
    private var digest = MessageDigest(.sha256)
    /// The longest frame of zeros, which a large hole has many of.
    private var zeroFrame: (frame: CompressedBytes, sha256: ContentHash)?

    /// - Parameter zeros: of ``FrameCutter/zeroBytesMax``.
    init(_ options: PackOptions, zeros: DirectBuffer) throws(PackError) {
        guard let context = unsafe ZSTD_createCCtx() else { throw .host(operation: "compress", cause: SystemError(ENOMEM)) }
        unsafe self.context = context
        self.zeros = zeros
        set(ZSTD_c_compressionLevel, options.level)
        set(ZSTD_c_checksumFlag, 1)
        if let windowLog = options.windowLog { set(ZSTD_c_windowLog, windowLog) }
    }

    deinit { unsafe ZSTD_freeCCtx(context) }

    private func set(_ parameter: ZSTD_cParameter, _ value: Int) {
        let code = unsafe ZSTD_CCtx_setParameter(context, parameter, Int32(value))
        precondition(ZSTD_isError(code) == 0, "a value of PackOptions that zstd does not take")
    }

    mutating func compress(_ slot: FrameSlot) throws(PackError) {
        let isLongest = slot.isZero && slot.contentBytes == Int(FrameCutter.zeroBytesMax)
        if isLongest, let (frame, sha256) = zeroFrame {
            // SAFETY: a UInt8 has no padding.
            slot.output.copy(unsafe frame.bytes.span.bytes, to: 0)
            (slot.compressedBytes, slot.windowLog, slot.sha256) = (frame.bytes.count, frame.windowLog, sha256)
            return
        }
        let content = slot.isZero ? zeros : slot.content
        (slot.compressedBytes, slot.windowLog) = try content.withBytes(0, count: slot.contentBytes) { bytes throws(PackError) in
            digest.update(bytes)
            return try compress(bytes, into: slot.output)
        }
        slot.sha256 = ContentHash(digest.finish())
        if isLongest { zeroFrame = (copy(slot.output, slot.compressedBytes, slot.windowLog), slot.sha256) }
    }

    /// A whole small image in one frame.
    mutating func compress(_ bytes: [UInt8]) throws(PackError) -> CompressedBytes {
        let output: DirectBuffer
        do throws(SystemError) {
            output = try DirectBuffer(sizeBytes: ZSTD_compressBound(bytes.count))
        } catch {
            throw .host(operation: "reserve memory", cause: error)
        }
        // SAFETY: a UInt8 has no padding.
        let (count, windowLog) = try compress(unsafe bytes.span.bytes, into: output)
        return copy(output, count, windowLog)
    }

    private func copy(_ output: DirectBuffer, _ count: Int, _ windowLog: Int) -> CompressedBytes {
        // SAFETY: so many bytes were just written.
        let bytes = output.withBytes(0, count: count) { unsafe $0.withUnsafeBytes { unsafe Array($0) } }
        return CompressedBytes(bytes: bytes, windowLog: windowLog)
    }

    private func compress(_ bytes: RawSpan, into output: DirectBuffer) throws(PackError) -> (count: Int, windowLog: Int) {
        // SAFETY: the output is this thread's for now; `address` checks its bounds.
        let target = unsafe output.address(0, count: output.sizeBytes)
        let code = unsafe bytes.withUnsafeBytes { source in
            unsafe ZSTD_compress2(context, target, output.sizeBytes, source.baseAddress, source.count)
        }
        // The output has room for any frame, so what is missing is memory.
        if ZSTD_isError(code) != 0 { throw .host(operation: "compress a frame", cause: SystemError(ENOMEM)) }
        var header = ZSTD_frameHeader()
        precondition(unsafe ZSTD_getFrameHeader(&header, target, code) == 0, "a frame without a header")
        // Rounded up: a frame that is one segment asks for a window of its own length.
        let window = max(header.windowSize, 1 << UInt64(PackOptions.windowLogRange.lowerBound))
        return (code, UInt64.bitWidth - (window - 1).leadingZeroBitCount)
    }
}

/// One frame.
struct CompressedBytes {
    let bytes: [UInt8]
    /// The window that its header asks for, as a power of two.
    let windowLog: Int
}
