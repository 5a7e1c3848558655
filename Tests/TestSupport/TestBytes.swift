import Foundation
import Glibc

extension SplitMix64 {
    mutating func bytes(_ count: Int) -> [UInt8] { sampleBytes(count, seed: next()) }

    /// Between 0 and `limit`, all magnitudes alike.
    mutating func magnitude(_ limit: Int) -> Int {
        let bits = Int.random(in: 0...Int.bitWidth - limit.leadingZeroBitCount, using: &self)
        return Int.random(in: 0...min(limit, (1 << bits) - 1), using: &self)
    }
}

/// Bytes that a compressor finds much to say about: literals, matches near and very far, runs.
func richBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix64(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 70_000)
    while bytes.count < count {
        switch Int.random(in: 0..<10, using: &random) {
        case 0...2: bytes += random.bytes(1 + random.magnitude(4000))
        case 3: bytes += [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: random.magnitude(60_000))
        default:
            guard !bytes.isEmpty else { continue }
            // Any distance up to the beginning: the window's far edge is where the mistakes are.
            let distance =
                1
                + (Bool.random(using: &random)
                    ? random.magnitude(bytes.count - 1) : Int.random(in: 0..<bytes.count, using: &random))
            let start = bytes.count - distance
            // A copy of its own: a slice would make the array copy all of itself.
            bytes += Array(bytes[start..<min(bytes.count, start + 4 + random.magnitude(20_000))])
        }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
}

/// zstd(1) over bytes: from a file, which puts the content's size into the frame, or from a pipe, which does not.
func zstd(_ arguments: String, _ bytes: [UInt8], throughPipe: Bool = false) throws -> [UInt8] {
    try withTemporaryFolder { folder in
        try Data(bytes).write(to: folder.appending(path: "in"))
        let input = throughPipe ? "cat in | zstd" : "zstd in"
        let command = "cd '\(folder.path)' && \(input) -q -c \(arguments) > out"
        try run("sh", ["-c", command])
        return [UInt8](try Data(contentsOf: folder.appending(path: "out")))
    }
}

/// A skippable frame (RFC 8878 §3.1.2).
func skippableFrame(_ content: [UInt8], magic: UInt8 = 0x50) -> [UInt8] {
    let size = UInt32(content.count)
    return [magic, 0x2a, 0x4d, 0x18] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + content
}

/// Whether `piece` is what `bytes` holds at `offset`.
func isSame(_ piece: RawSpan, _ bytes: [UInt8], at offset: Int) -> Bool {
    guard offset >= 0, piece.byteCount <= bytes.count - offset else { return false }
    if piece.byteCount == 0 { return true }
    // SAFETY: both areas were checked to hold so many bytes, and live to the end of the closures.
    return unsafe piece.withUnsafeBytes { one in
        unsafe bytes.withUnsafeBytes { two in
            guard let left = one.baseAddress, let right = two.baseAddress else { return false }
            return unsafe memcmp(left, right + offset, one.count) == 0
        }
    }
}

func usleepMilliseconds(_ milliseconds: UInt32) { usleep(milliseconds * 1000) }
