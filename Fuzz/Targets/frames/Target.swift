import CZstd
import CosiFormat

@testable import StreamDisk

/// Compressed bytes through the real lanes, onto nothing. Three bytes say how, two how long the image should be; the rest are the
/// frames. What comes out is compared with what libzstd's plain interface makes of the same bytes.
@c(LLVMFuzzerTestOneInput)
func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = unsafe FuzzInput(data, count)
    let flags = input.byte()
    let pieceBytes = Int(input.byte()) * 3 + 1
    let windowLog = 10 + Int(input.byte()) % 12
    let statedBytes = input.number(bytes: 2) << 4 &+ UInt64(flags >> 6)
    let compressed = input.bytes
    let plain = try? ZstdDecoder.decode(compressed, sizeBytes: 4 << 20, windowLogMax: 27)
    // Usually the right size, else nearly every input would be refused at its end.
    let size = flags & 2 == 0 ? plain.map { UInt64($0.count) } ?? statedBytes : statedBytes
    let rig = FrameRig(
        compressed: compressed, statedBytes: size, lanes: 1 + Int(flags & 1), windowLog: windowLog, pieceBytes: pieceBytes)
    let (output, fault) = rig.run()
    switch fault {
    case nil:
        require(UInt64(output.count) == size, "\(output.count) bytes came out of \(size)")
        require(plain.map { $0 == output } ?? true, "other bytes than libzstd's came out")
        if plain == nil { require(isWithinLimits(compressed, size), "accepted what libzstd refuses") }
        requireHonestFrames(compressed)
    case .image: break
    case .some(let fault): fatalError("decoding ends with \(fault)")
    }
    return 0
}

/// What libzstd makes of it when it may write as much as was stated: `plain` has a limit of its own.
private func isWithinLimits(_ compressed: [UInt8], _ size: UInt64) -> Bool {
    (try? ZstdDecoder.decode(compressed, sizeBytes: Int(size), windowLogMax: 27)) != nil
}

/// libzstd's streaming interface believes a stated size where the last block is empty, so this compares for each frame apart what
/// it states with what comes out of it.
private func requireHonestFrames(_ compressed: [UInt8]) {
    var rest = compressed[...]
    while !rest.isEmpty {
        let (stated, count) = unsafe rest.withUnsafeBytes { bytes in
            unsafe (
                ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count),
                ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count)
            )
        }
        require(ZSTD_isError(count) == 0, "accepted a frame whose end libzstd does not find")
        let frame = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
        // Skippable frames state 0, and hold nothing.
        guard stated < UInt64.max - 1, let content = try? ZstdDecoder.decode(frame, sizeBytes: 8 << 20, windowLogMax: 27)
        else { continue }
        require(UInt64(content.count) == stated, "a frame states \(stated) bytes and holds \(content.count)")
    }
}
