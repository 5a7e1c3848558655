import Testing

@testable import StreamDisk
@testable import TestSupport

/// Input that is not what it should be: always an error, never a byte past the end, never a hang.
@Suite("Decoding: corrupt images")
struct CorruptImageTests {
    private static let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]

    /// A block's header: RFC 8878 §3.1.1.2.
    private func blockHeader(type: UInt32, size: Int, isLast: Bool) -> [UInt8] {
        let word = UInt32(size) << 3 | type << 1 | (isLast ? 1 : 0)
        return (0..<3).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }

    /// The places in an image where something ends: frames, headers, blocks, checksums (RFC 8878 §3.1).
    private func boundaries(_ bytes: [UInt8]) -> (all: [Int], frameEnds: [Int]) {
        var (all, ends, at) = ([0], [0], 0)
        func word(_ at: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) } }
        while at < bytes.count {
            if bytes[at] != 0x28 {
                all += [at + 4, at + 8]
                at += 8 + word(at + 4, 4)
            } else {
                let descriptor = Int(bytes[at + 4])
                let isSingle = descriptor & 0x20 != 0
                let sizeField = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]
                all += [at + 4, at + 5]
                at += 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3] + sizeField
                all.append(at)
                var isLast = false
                while !isLast {
                    let header = word(at, 3)
                    isLast = header & 1 != 0
                    all += [at + 3]
                    at += 3 + (header >> 1 & 3 == 1 ? 1 : header >> 3)
                    all.append(at)
                }
                if descriptor & 4 != 0 { at += 4 }
            }
            all.append(at)
            ends.append(at)
        }
        return (Array(Set(all)).sorted(), ends)
    }

    private func sample() throws -> DecodingRig.Image {
        let parts = [richBytes(300_000, seed: 1), [UInt8](repeating: 7, count: 200_000), sampleBytes(150_000, seed: 2)]
        let compressed =
            try skippableFrame(sampleBytes(16)) + zstd("-3 --check", parts[0]) + skippableFrame([9])
            + zstd("-1 --check --zstd=wlog=12", parts[1], throughPipe: true) + zstd("--check -1", parts[2])
            + skippableFrame(sampleBytes(30))
        return .init(compressed, original: Array(parts.joined()))
    }

    private let rig = DecodingRig(slotBytes: 12_288, inFlightBytes: 16 << 10, windowBytesMax: 1 << 23)

    @Test("Cut at and around every boundary of frame, header, block and checksum")
    func truncation() throws {
        let image = try sample()
        let (all, ends) = boundaries(image.compressed)
        #expect(ends.last == image.compressed.count)
        #expect(all.count > 30)
        for cut in Set(all.flatMap { [$0 - 1, $0, $0 + 1] }).sorted() where (0..<image.compressed.count).contains(cut) {
            let outcome = try rig.run([.init(Array(image.compressed[..<cut]), original: image.original)])
            #expect(!outcome.isHung, "cut at \(cut)")
            #expect(outcome.violations == [], "cut at \(cut)")
            if ends.suffix(2).contains(cut) {
                // Only the last, skippable frame is gone, whole.
                #expect(outcome.fault == nil && outcome.mismatches == [], "cut at \(cut)")
            } else {
                #expect(outcome.imageProblem != nil, "cut at \(cut): \(String(describing: outcome.fault))")
            }
        }
    }

    @Test("A checksum that is not its frame's is found over slots, laps and lanes", arguments: 1...3, 0..<4)
    func wrongChecksum(lanes: Int, frame: Int) throws {
        let parts = [300_000, 4096 * 50, 700_001, 5].enumerated().map { richBytes($1, seed: UInt64($0)) }
        var compressed = try parts.flatMap { try zstd("-3 --check --zstd=wlog=14", $0) }
        let (_, ends) = boundaries(compressed)
        #expect(ends.count == 5)
        compressed[ends[frame + 1] - 1] ^= 0x10
        let rig = DecodingRig(lanes: lanes, slotBytes: 12_288, inFlightBytes: 16 << 10, windowBytesMax: 1 << 23)
        let outcome = try rig.run([.init(compressed, original: Array(parts.joined()))])
        #expect(!outcome.isHung)
        #expect(outcome.violations == [])
        let position = parts[...frame].map(\.count).reduce(0, +)
        #expect(
            outcome.imageProblem == "corrupt zstd data at decoded byte \(position): Restored data doesn't match checksum")
    }

    @Test("The checksum covers the first and the last byte of every block", arguments: [12_288, 1 << 20])
    func everyBlockIsChecked(slotBytes: Int) throws {
        // Noise stays as it is (RFC 8878 §3.1.1.2.2, raw blocks), so another byte decodes, to something else.
        let original = sampleBytes(300_001, seed: 3)
        let compressed = try zstd("-1 --check", original)
        let (all, _) = boundaries(compressed)
        let blocks = zip(all, all.dropFirst()).filter { $1 - $0 > 1000 }
        #expect(blocks.count == 3)
        let rig = DecodingRig(slotBytes: slotBytes, inFlightBytes: 16 << 10, windowBytesMax: 1 << 23)
        for place in blocks.flatMap({ [$0, $1 - 1] }) {
            var changed = compressed
            changed[place] ^= 1
            let outcome = try rig.run([.init(changed, original: original)])
            #expect(
                outcome.imageProblem
                    == "corrupt zstd data at decoded byte 300001: Restored data doesn't match checksum", "byte \(place)")
        }
    }

    @Test("A frame that states more than the image has left, behind one that states nothing, is an error", arguments: [1, 2])
    func statedTooLongBehindUnstated(lanes: Int) throws {
        // The ring is made for the image's 100 000 bytes, not for the window that is allowed.
        let rig = DecodingRig(lanes: lanes, slotBytes: 12_288, inFlightBytes: 16 << 10, windowBytesMax: 1 << 23)
        let original = richBytes(100_000, seed: 4)
        let unstated = try zstd("-3 --no-content-size", Array(original.prefix(5)), throughPipe: true)
        // RFC 8878 §3.1.1.1: a window of 8 MiB, a content size of 100 MiB in four bytes; one raw block of a byte.
        let lie = Self.magic + [0x80, 0x68, 0x00, 0x00, 0x40, 0x06] + blockHeader(type: 0, size: 1, isLast: true) + [0]
        let outcome = try rig.run([.init(unstated + lie, original: original)])
        #expect(!outcome.isHung)
        #expect(outcome.violations == [])
        #expect(outcome.imageProblem?.contains("more than the 100000 bytes") == true, "\(String(describing: outcome.fault))")
    }

    @Test("Flipped bits are an error, or change nothing", arguments: 0..<4)
    func flippedBits(seed: UInt64) throws {
        let image = try sample()
        let (all, _) = boundaries(image.compressed)
        var random = SplitMix64(state: seed)
        // Half of them in the headers, where the lies are.
        for _ in 0..<120 {
            var bytes = image.compressed
            let boundary = all.randomElement(using: &random) ?? 0
            let at =
                Bool.random(using: &random)
                ? boundary + Int.random(in: 0..<8, using: &random) : Int.random(in: 0..<bytes.count, using: &random)
            guard at < bytes.count else { continue }
            let bit = Int.random(in: 0..<8, using: &random)
            bytes[at] ^= 1 << bit
            let outcome = try rig.run([.init(bytes, original: image.original)])
            let place: Comment = "seed \(seed), bit \(bit) of byte \(at)"
            #expect(!outcome.isHung, place)
            #expect(outcome.violations.prefix(2) == [], place)
            if outcome.fault == nil {
                #expect(outcome.mismatches == [], place)
            } else {
                #expect(outcome.imageProblem != nil, place)
            }
        }
    }

    @Test("Without checksums flipped bits may pass for others, but nothing leaves its place", arguments: 0..<4)
    func flippedBitsUnchecked(seed: UInt64) throws {
        let original = richBytes(400_000, seed: 3)
        let compressed = try zstd("-3 --no-check --zstd=wlog=13", original, throughPipe: true)
        var random = SplitMix64(state: seed)
        for _ in 0..<80 {
            var bytes = compressed
            for _ in 0...random.magnitude(4) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            let outcome = try rig.run([.init(bytes, original: original)])
            #expect(!outcome.isHung, "seed \(seed)")
            #expect(outcome.violations.prefix(2) == [], "seed \(seed)")
            #expect(outcome.fault == nil || outcome.imageProblem != nil, "seed \(seed)")
        }
    }

    @Test("Bytes behind the last frame", arguments: [[0], [0x28], [0x28, 0xb5, 0x2f], [1, 2, 3, 4, 5, 6, 7, 8, 9]])
    func trailingBytes(garbage: [UInt8]) throws {
        let image = try sample()
        let outcome = try rig.run([.init(image.compressed + garbage, original: image.original)])
        #expect(outcome.imageProblem != nil)
        #expect(outcome.violations == [])
        #expect(!outcome.isHung)
    }

    @Test("A length off by one, both ways", arguments: [true, false])
    func wrongLength(throughPipe: Bool) throws {
        for size in [1, 512, 4096, 200_000, 262_144] {
            let original = richBytes(size, seed: 4)
            let compressed = try zstd("-3", original, throughPipe: throughPipe)
            for stated in [size - 1, size + 1] {
                let outcome = try rig.run([.init(compressed, original: original, statedBytes: UInt64(stated))])
                let problem = try #require(outcome.imageProblem, "\(size) stated as \(stated)")
                #expect(problem.contains(stated < size ? "more than the \(stated)" : "decodes to \(size)"))
                #expect(outcome.violations == [])
                #expect(outcome.bytesOut <= UInt64(stated + rig.blockBytes))
            }
        }
    }

    @Test("A bomb stops at the length stated", arguments: [true, false])
    func bomb(statesItsSize: Bool) throws {
        // Single segment or a window of 128 KiB, then blocks of one repeated byte.
        var compressed = Self.magic
        if statesItsSize {
            // Content size in 4 bytes: 100,000, which is a lie.
            compressed += [0xa0] + [0xa0, 0x86, 0x01, 0x00]
        } else {
            compressed += [0x00, 0x38]
        }
        for index in 0..<4000 {
            compressed += blockHeader(type: 1, size: statesItsSize ? 100_000 : 131_072, isLast: index == 3999) + [0xee]
        }
        for stated in [UInt64(0), 100_000, 3_000_000] {
            let outcome = try rig.run([.init(compressed, original: [], statedBytes: stated)])
            #expect(outcome.imageProblem != nil)
            #expect(outcome.violations == [])
            #expect(outcome.bytesOut <= stated)
            #expect(!outcome.isHung)
        }
    }

    @Test("A repeated byte of two million in one block, more than any block may have")
    func oversizedRun() throws {
        let compressed = Self.magic + [0x00, 0x38] + blockHeader(type: 1, size: 0x1f_ffff, isLast: true) + [0xee]
        let outcome = try rig.run([.init(compressed, original: [], statedBytes: 1 << 30)])
        #expect(outcome.imageProblem != nil)
        #expect(outcome.bytesOut == 0)
    }

    @Test("Headers that ask for too much are refused before anything is decoded")
    func headers() throws {
        let body = blockHeader(type: 1, size: 100, isLast: true) + [0xee]
        let cases: [(header: [UInt8], words: String)] = [
            // 2^24, over the rig's limit of 2^23.
            (Self.magic + [0x00, 14 << 3], "window of 16777216 bytes"),
            // The largest there is, 2^41 and 7/8: libzstd refuses it by itself.
            (Self.magic + [0x00, 0xff], "corrupt zstd data"),
            // A content of 2^64 − 2 bytes, in a single segment.
            (Self.magic + [0xe0] + [0xfe] + [UInt8](repeating: 0xff, count: 7), "window"),
            // The same with a window of its own.
            (Self.magic + [0xc0, 0x38] + [0xfe] + [UInt8](repeating: 0xff, count: 7), "decodes to more than the 100"),
            // Dictionary 5.
            (Self.magic + [0x01, 0x38, 5], "dictionary"),
            // Reserved bit.
            (Self.magic + [0x08, 0x38], "corrupt zstd data"),
            // zstd 0.7.
            ([0x27, 0xb5, 0x2f, 0xfd, 0x00, 0x38], "corrupt zstd data"),
            // A skippable frame longer than the image.
            ([0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff], "cut off"),
        ]
        for (header, words) in cases {
            let outcome = try rig.run([.init(header + body, original: [], statedBytes: 100)])
            let problem = try #require(outcome.imageProblem, "\(header): \(words)")
            #expect(problem.contains(words), "\(header)")
            #expect(outcome.bytesOut == 0)
            #expect(!outcome.isHung)
        }
    }

    @Test("A frame that states fewer bytes than it holds never reaches past the image")
    func sizeLies() throws {
        let original = richBytes(600_000, seed: 8)
        let honest = try zstd("-3 --no-check", original)
        // Single segment with 4 bytes of content size behind the descriptor.
        try #require(honest[4] & 0xe0 == 0xa0)
        for size in [UInt32(1), 4096, 131_072, 599_999] {
            var lie = honest
            for index in 0..<4 { lie[5 + index] = UInt8(truncatingIfNeeded: size >> (8 * UInt32(index))) }
            let outcome = try rig.run([.init(lie, original: original)])
            #expect(outcome.imageProblem != nil, "\(size)")
            #expect(outcome.violations == [], "\(size)")
        }
    }

    /// A frame of RLE blocks that states 4 bytes of content size, and ends in an empty block: there libzstd compares nothing.
    private func lyingFrame(states: Int, holds: Int) -> [UInt8] {
        var frame = Self.magic + [0x80, 0x3f] + (0..<4).map { UInt8(truncatingIfNeeded: states >> (8 * $0)) }
        for at in stride(from: 0, to: holds, by: 1 << 17) {
            frame += blockHeader(type: 1, size: min(1 << 17, holds - at), isLast: false) + [0x55]
        }
        return frame + blockHeader(type: 0, size: 0, isLast: true)
    }

    /// What each frame states and holds.
    static let lies: [[(states: Int, holds: Int)]] = [
        [(4_194_304, 1), (1_048_576, 1_048_576)], [(1_048_576, 4_194_304), (1_048_576, 1_048_576)],
        [(4_194_304, 2_097_152), (2_097_152, 4_194_304)], [(2_097_152, 4_194_304), (4_194_304, 2_097_152)],
        [(1_048_576, 1_048_576), (1_048_576, 1_048_575)], [(1_048_576, 1_048_576), (1_048_576, 1_048_577)], [(4096, 0)],
    ]

    @Test(
        "A frame that holds more or less than it states is an error, also where several lies add up", arguments: 1...3,
        lies.indices)
    func framesThatLie(lanes: Int, lie: Int) throws {
        let rig = DecodingRig(lanes: lanes, windowBytesMax: 1 << 23)
        let frames = Self.lies[lie]
        let stated = frames.reduce(0) { $0 + $1.states }
        let image = frames.flatMap { lyingFrame(states: $0.states, holds: $0.holds) }
        let outcome = try rig.run([.init(image, original: [UInt8](repeating: 0x55, count: stated))])
        #expect(outcome.imageProblem?.contains("a frame states that it holds") == true, "\(String(describing: outcome.fault))")
        #expect(outcome.violations == [] && !outcome.isHung)
    }

    @Test("A frame that ends in an empty block and holds what it states is right", arguments: 1...3)
    func honestFramesWithEmptyEnds(lanes: Int) throws {
        let rig = DecodingRig(lanes: lanes, windowBytesMax: 1 << 23)
        let image = lyingFrame(states: 1 << 20, holds: 1 << 20) + lyingFrame(states: 12345, holds: 12345)
        let outcome = try rig.run([.init(image, original: [UInt8](repeating: 0x55, count: (1 << 20) + 12345))])
        #expect(outcome.fault == nil && outcome.mismatches == [] && outcome.violations == [])
    }

    @Test("Bytes of the next image are not taken for the end of this one")
    func borrowedBytes() throws {
        let (one, two) = (richBytes(300_000, seed: 1), richBytes(100_000, seed: 2))
        let first = try zstd("-1", one)
        let whole = first + (try zstd("-1", two))
        // The first image states all but its last ten bytes; the second begins with them.
        let cut = first.count - 10
        let outcome = try rig.run([
            .init(Array(whole[..<cut]), original: one), .init(Array(whole[cut...]), original: two),
        ])
        #expect(outcome.imageProblem?.contains("cut off") == true)
        #expect(outcome.violations == [])
    }
}
