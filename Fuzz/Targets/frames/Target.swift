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
    case .image: break
    case .some(let fault): fatalError("decoding ends with \(fault)")
    }
    return 0
}

/// What libzstd makes of it when it may write as much as was stated: `plain` has a limit of its own.
private func isWithinLimits(_ compressed: [UInt8], _ size: UInt64) -> Bool {
    (try? ZstdDecoder.decode(compressed, sizeBytes: Int(size), windowLogMax: 27)) != nil
}
