import CZstd
import CosiFormat
import StreamDisk

/// One frame on its way from the reader through a compressor to the writer, with the memory that it needs.
///
/// Whoever took it from the ``FrameQueue`` owns it until it gives it back.
final class FrameSlot: @unchecked Sendable {
    /// The content of a frame of data.
    let content: DirectBuffer
    /// The compressed frame.
    let output: DirectBuffer

    // Set by the reader.
    /// Counts the frames of all images.
    var sequence: UInt64 = 0
    /// Into the images of the run.
    var image = 0
    var contentBytes = 0
    /// Then `content` holds nothing.
    var isZero = false

    // Set by the compressor.
    var compressedBytes = 0
    /// The window that the frame's header asks for, as a power of two.
    var windowLog = 0
    var sha256 = ContentHash([UInt8](repeating: 0, count: ContentHash.byteCount))

    init(_ cutter: FrameCutter) throws(SystemError) {
        content = try DirectBuffer(sizeBytes: cutter.mostBytes)
        output = try DirectBuffer(sizeBytes: Self.outputBytes(cutter))
    }

    /// A frame of zeros takes less than one of data.
    static func outputBytes(_ cutter: FrameCutter) -> Int { ZSTD_compressBound(cutter.mostBytes) }
}
