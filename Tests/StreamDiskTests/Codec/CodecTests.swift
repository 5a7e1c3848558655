import CosiFormat
import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("Codec: frames, hashes, small images")
struct CodecTests {
    @Test("SHA-384 is that of sha384sum, however the bytes are cut", arguments: [0, 1, 127, 128, 129, 1_000_003])
    func sha384(count: Int) throws {
        let bytes = sampleBytes(count, seed: UInt64(count))
        let expected = try withTemporaryFolder { folder in
            let file = folder.appending(path: "bytes")
            try Data(bytes).write(to: file)
            return String(try run("sha384sum", [file.path]).prefix(96))
        }
        #expect(SHA384.digest(of: bytes).hexadecimal == expected)
        var hash = SHA384()
        var random = SplitMix64(state: 1)
        for _ in 0..<2 {
            var at = 0
            while at < count {
                let piece = min(count - at, random.magnitude(count) + 1)
                hash.update(unsafe bytes.span.bytes.extracting(at..<at + piece))
                at += piece
            }
            // A finished hash begins anew.
            #expect(hash.finish().hexadecimal == expected)
        }
    }

    // MARK: FrameSplitter

    /// The frames that a splitter finds when it is fed pieces of any size: header, whole bytes of each.
    private func split(
        _ bytes: [UInt8], seed: UInt64
    ) throws -> (frames: [(header: ZstdFrameHeader, bytes: [UInt8], isEnded: Bool)], skipped: Int, isAtFrameEnd: Bool) {
        var splitter = FrameSplitter()
        var frames: [(header: ZstdFrameHeader, bytes: [UInt8], isEnded: Bool)] = []
        var (at, skipped) = (0, 0)
        var random = SplitMix64(state: seed)
        while at < bytes.count {
            let shown = min(bytes.count - at, seed == 0 ? 1 : random.magnitude(100_000) + 1)
            let (piece, count) = try splitter.next(unsafe bytes.span.bytes.extracting(at..<at + shown))
            try #require(count > 0 && count <= shown)
            switch piece {
            case .held: break
            case .skippable: skipped += count
            case .frame(let header, let start): frames.append((header, start, false))
            case .content, .contentToEnd:
                frames[frames.count - 1].bytes += Array(bytes[at..<at + count])
                if piece == .contentToEnd { frames[frames.count - 1].isEnded = true }
            }
            at += count
        }
        return (frames, skipped, splitter.isAtFrameEnd)
    }

    @Test("Frames are found however their bytes arrive", arguments: 0..<6)
    func splitter(seed: UInt64) throws {
        let parts: [(packed: [UInt8], size: UInt64?, hasChecksum: Bool)] = [
            (try zstd("-3 --check", richBytes(300_000, seed: 1)), 300_000, true),
            (try zstd("-3 --no-check --zstd=wlog=12", richBytes(50_000, seed: 2), throughPipe: true), nil, false),
            (try zstd("-1 --check", []), 0, true),
            (try zstd("-1 --no-check", [UInt8](repeating: 0, count: 400_000)), 400_000, false),
            (try zstd("-1", sampleBytes(200_000), throughPipe: true), nil, true),
        ]
        let between = [skippableFrame([]), skippableFrame(sampleBytes(300)), [], skippableFrame([1], magic: 0x5f), [], []]
        var bytes = between[0]
        for (index, part) in parts.enumerated() { bytes += part.packed + between[index + 1] }
        let (frames, _, isAtFrameEnd) = try split(bytes, seed: seed)
        #expect(isAtFrameEnd)
        #expect(frames.map(\.bytes) == parts.map(\.packed))
        #expect(frames.map(\.header.contentBytes) == parts.map(\.size))
        #expect(frames.map(\.header.hasChecksum) == parts.map(\.hasChecksum))
        #expect(frames.allSatisfy { $0.isEnded && !$0.header.needsDictionary })
        #expect(frames[1].header.windowBytes == 1 << 12)
        #expect(frames[1].header.blockBytesMax == 1 << 12)
    }

    @Test("Every cut that is not between frames is known to be one")
    func splitterCuts() throws {
        let first = try zstd("-1 --check", sampleBytes(300))
        let second = skippableFrame([1, 2, 3])
        let bytes = first + second + (try zstd("-1 --no-check", []))
        let ends = [0, first.count, first.count + second.count, bytes.count]
        for cut in 0...bytes.count {
            #expect(try split(Array(bytes[..<cut]), seed: 0).isAtFrameEnd == ends.contains(cut), "cut at \(cut)")
        }
    }

    @Test(
        "What no frame begins with is an error",
        arguments: [[0, 0, 0, 0, 0], [0x28, 0xb5, 0x2f, 0xfe, 0], [0x60, 0x2a, 0x4d, 0x18, 0]])
    func splitterGarbage(bytes: [UInt8]) {
        #expect(throws: ZstdError.self) { try split(bytes, seed: 0) }
    }

    @Test("A block of the reserved type is an error")
    func reservedBlock() {
        #expect(throws: ZstdError.self) { try split([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38, 0x07, 0, 0], seed: 0) }
    }

    // MARK: Small images

    @Test("A small image of several frames is decoded whole")
    func small() throws {
        let (one, two) = (richBytes(20_000, seed: 1), richBytes(17_408, seed: 2))
        let packed = skippableFrame([1]) + (try zstd("-19", one)) + (try zstd("-1", two, throughPipe: true)) + skippableFrame([])
        #expect(try ZstdDecoder.decode(packed, sizeBytes: 37_408, windowLogMax: 23) == one + two)
    }

    @Test("A small image that is longer than stated, cut off or damaged is an error")
    func smallErrors() throws {
        let original = richBytes(20_000, seed: 1)
        let packed = try zstd("-3 --check", original)
        #expect(throws: ZstdError.self) { try ZstdDecoder.decode(packed, sizeBytes: 19_999, windowLogMax: 23) }
        // Shorter is for the caller to see.
        #expect(try ZstdDecoder.decode(packed, sizeBytes: 20_001, windowLogMax: 23) == original)
        for cut in [1, 4, 5, 10, packed.count / 2, packed.count - 4, packed.count - 1] {
            #expect(throws: ZstdError.truncated, "\(cut)") {
                try ZstdDecoder.decode(Array(packed[..<cut]), sizeBytes: 20_000, windowLogMax: 23)
            }
        }
        var damaged = packed
        damaged[packed.count - 2] ^= 1
        #expect(throws: ZstdError.self) { try ZstdDecoder.decode(damaged, sizeBytes: 20_000, windowLogMax: 23) }
        #expect(throws: ZstdError.self) { try ZstdDecoder.decode(packed + [0], sizeBytes: 20_000, windowLogMax: 23) }
    }

    @Test("A small image may not ask for a larger window than allowed")
    func smallWindow() throws {
        let packed = try zstd("-3 --zstd=wlog=20", richBytes(20_000, seed: 1), throughPipe: true)
        #expect(throws: ZstdError.self) { try ZstdDecoder.decode(packed, sizeBytes: 20_000, windowLogMax: 19) }
        #expect(try ZstdDecoder.decode(packed, sizeBytes: 20_000, windowLogMax: 20).count == 20_000)
    }

    /// A frame that states `stated` bytes of content, and has `content` in a block that is followed by an empty last one.
    private func toldFrame(_ stated: Int, _ content: [UInt8]) -> [UInt8] {
        let size = (0..<4).map { UInt8(truncatingIfNeeded: stated >> (8 * $0)) }
        let block = (0..<3).map { UInt8(truncatingIfNeeded: (content.count << 3) >> (8 * $0)) }
        return [0x28, 0xb5, 0x2f, 0xfd, 0xa0] + size + block + content + [1, 0, 0]
    }

    @Test("A small image's frames hold as many bytes as they state")
    func smallFrameLengths() throws {
        let bytes = sampleBytes(3000)
        let (one, two) = (Array(bytes[..<1000]), Array(bytes[1000...]))
        #expect(try ZstdDecoder.decode(toldFrame(1000, one) + toldFrame(2000, two), sizeBytes: 3000, windowLogMax: 20) == bytes)
        for frames in [toldFrame(2000, one) + toldFrame(1000, two), toldFrame(2999, one + two), toldFrame(3001, one + two)] {
            #expect(throws: ZstdError.self) { try ZstdDecoder.decode(frames, sizeBytes: 4000, windowLogMax: 20) }
        }
    }

    @Test("A frame of a legacy format or with a dictionary is no small image")
    func smallForeignFrames() throws {
        let packed = try zstd("-3", richBytes(20_000, seed: 1))
        for magic in [UInt8(0x1e)] + (0x22...0x27) {
            let legacy = [magic, 0xb5, 0x2f, 0xfd] + packed.dropFirst(4)
            #expect(throws: ZstdError.self) { try ZstdDecoder.decode(legacy, sizeBytes: 20_000, windowLogMax: 23) }
            #expect(throws: ZstdError.self) { try ZstdDecoder.decode(packed + legacy, sizeBytes: 40_000, windowLogMax: 23) }
            #expect(throws: ZstdError.self) { try split(legacy, seed: 0) }
        }
        let withDictionary: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x38, 0x07, 0x21, 0, 0, 1, 2, 3, 4]
        #expect(throws: ZstdError.corrupt("a frame needs a dictionary; there are none in COSI")) {
            try ZstdDecoder.decode(withDictionary, sizeBytes: 4, windowLogMax: 23)
        }
        #expect(try ZstdDecoder.decode(skippableFrame([1, 2]), sizeBytes: 0, windowLogMax: 23).isEmpty)
        #expect(try ZstdDecoder.decode([], sizeBytes: 0, windowLogMax: 23).isEmpty)
    }
}
