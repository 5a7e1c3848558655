import Testing

@testable import StreamDisk
@testable import TestSupport

/// Decoding through a lane: what zstd(1) packed comes out byte for byte, whatever the ring's shape.
@Suite("Decoding: images of zstd(1) through a lane")
struct DecodingTests {
    /// Slots smaller than a block, of odd size, with much and with nothing in flight beside the window.
    static let shapes: [(slotBytes: Int, inFlightBytes: Int)] = [
        (4096, 0), (12_288, 20_000), (64 << 10, 128 << 10), (1 << 20, 2 << 20),
    ]

    private func expectSame(
        _ images: [DecodingRig.Image], _ rig: DecodingRig, lapsMin: Int = 0, _ comment: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let outcome = try rig.run(images)
        #expect(!outcome.isHung, comment, sourceLocation: sourceLocation)
        #expect(outcome.fault == nil, comment, sourceLocation: sourceLocation)
        #expect(outcome.violations.prefix(3) == [], comment, sourceLocation: sourceLocation)
        #expect(outcome.mismatches.prefix(3) == [], comment, sourceLocation: sourceLocation)
        #expect(outcome.laps >= lapsMin, comment, sourceLocation: sourceLocation)
    }

    @Test(
        "Every level, with and without content size and checksum",
        arguments: ["-1", "-3", "-9", "-19", "-3 --check", "-3 --no-check", "-1 --long=27", "--fast=5"], [true, false])
    func levels(arguments: String, throughPipe: Bool) throws {
        let original = richBytes(1_500_001, seed: 7)
        let compressed = try zstd(arguments, original, throughPipe: throughPipe)
        for (seed, shape) in Self.shapes.enumerated() {
            let rig = DecodingRig(slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, seed: UInt64(seed))
            try expectSame([.init(compressed, original: original)], rig, "\(arguments), \(shape)")
        }
    }

    @Test("Every window from 1 KiB to 8 MiB, over many laps of the ring", arguments: 10...23)
    func windows(log: Int) throws {
        // Matches reach to the window's far edge, and beyond what a ring that is too short still holds.
        let original = richBytes(max(1 << 20, 5 << log) + 12_345, seed: UInt64(log))
        for packer in ["-3 --long=\(log)", "-2 --zstd=wlog=\(log)"] {
            let compressed = try zstd(packer, original, throughPipe: true)
            for (seed, shape) in Self.shapes.enumerated() where log < 20 || seed % 2 == log % 2 {
                let rig = DecodingRig(
                    slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, windowBytesMax: 1 << log,
                    seed: UInt64(seed))
                let image = DecodingRig.Image(compressed, original: original)
                let lap = (1 << log) + shape.inFlightBytes + (400 << 10)
                try expectSame([image], rig, lapsMin: original.count / lap, "\(packer), \(shape)")
            }
        }
    }

    @Test("A window of 128 MiB, and matches across its wrap")
    func hugeWindow() throws {
        let original = richBytes(150 << 20, seed: 27)
        let compressed = try zstd("-1 --long=27", original, throughPipe: true)
        try expectSame(
            [.init(compressed, original: original)], DecodingRig(slotBytes: 1 << 20, inFlightBytes: 4 << 20), lapsMin: 2)
    }

    @Test("A frame that looks back past its window is corrupt from there on, whatever of it the ring still holds.")
    func pastTheWindow() throws {
        // Matches 1 MiB back; the frame then states a window of 256 KiB.
        let part = sampleBytes(1 << 20, seed: 20)
        let original = part + part + part
        var compressed = try zstd("-3 --long=23 --no-check", original, throughPipe: true)
        // RFC 8878 §3.1.1.1.2: the frame's sixth byte, where no size is stated.
        try #require(compressed[4] == 0 && compressed[5] == (23 - 10) << 3)
        compressed[5] = (18 - 10) << 3
        for inFlight in [0, 512 << 10, 1 << 20, 4 << 20] {
            let rig = DecodingRig(slotBytes: 64 << 10, inFlightBytes: inFlight)
            let outcome = try rig.run([.init(compressed, original: original)])
            #expect(
                outcome.imageProblem?.contains("at decoded byte \(part.count): Data corruption detected") == true, "\(inFlight)")
            // What came before is right.
            #expect(outcome.violations == [] && outcome.mismatches.allSatisfy { $0.hasPrefix("image 0 ends at") }, "\(inFlight)")
        }
    }

    @Test("Sizes around every boundary", arguments: [512, 4096])
    func sizes(blockBytes: Int) throws {
        let lap = Int(
            SlotRing.lapBytes(windowBytes: 1 << 10, contentBytes: nil, blockBytesMax: 1 << 10, inFlightBytes: 0))
        let edges = [0, 512, 1024, 4096, 8192, lap, 2 * lap, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 2 << 20]
        for edge in edges {
            for size in [edge - 1, edge, edge + 1] where size >= 0 {
                let original = richBytes(size, seed: UInt64(size))
                let compressed = try zstd(size < 300_000 ? "-1 --zstd=wlog=10" : "-1", original, throughPipe: true)
                let shape = Self.shapes[size % Self.shapes.count]
                let rig = DecodingRig(
                    slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, blockBytes: blockBytes,
                    seed: UInt64(size))
                try expectSame([.init(compressed, original: original)], rig, "\(size) bytes, \(shape)")
            }
        }
    }

    @Test("Runs of one byte, and bytes that do not compress", arguments: ["-1", "-19"])
    func runsAndNoise(level: String) throws {
        let originals = [
            [UInt8](repeating: 0, count: 3_000_001), [UInt8](repeating: 0xa5, count: 131_072 * 3),
            sampleBytes(3_000_001, seed: 3), [UInt8](repeating: 0, count: 700_000) + sampleBytes(700_000, seed: 4),
        ]
        for (seed, shape) in Self.shapes.enumerated() {
            let images = try originals.map { DecodingRig.Image(try zstd(level, $0), original: $0) }
            try expectSame(
                images, DecodingRig(slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, seed: UInt64(seed)))
        }
    }

    @Test("Frames of different windows one behind the other, with skippable and empty frames everywhere", arguments: 0..<6)
    func manyFrames(seed: UInt64) throws {
        var random = SplitMix64(state: seed)
        let packers = ["-1", "-9", "-3 --long=20", "-1 --zstd=wlog=10", "-19", "-1 --no-check --zstd=wlog=14"]
        let empty = try zstd("-1", [])
        let emptyUnsized = try zstd("-1", [], throughPipe: true)
        var compressed = skippableFrame(random.bytes(16))
        var original: [UInt8] = []
        for _ in 0..<14 {
            let part = richBytes(random.magnitude(700_000), seed: random.next())
            original += part
            compressed += try zstd(
                packers.randomElement(using: &random) ?? "-1", part, throughPipe: Bool.random(using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: compressed += skippableFrame(random.bytes(random.magnitude(400_000)), magic: 0x5f)
            case 1: compressed += empty + emptyUnsized + skippableFrame([]) + empty
            default: break
            }
        }
        compressed += skippableFrame([])
        for (index, shape) in Self.shapes.enumerated() {
            let rig = DecodingRig(
                lanes: 1 + (Int(seed) + index) % 3, slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes,
                seed: seed &* 4 &+ UInt64(index))
            try expectSame([.init(compressed, original: original)], rig, "seed \(seed), \(shape)")
        }
    }

    @Test("Images that are empty, in every way there is")
    func emptyImages() throws {
        let ways = [
            [], try zstd("-1", []), try zstd("-1", [], throughPipe: true), skippableFrame([]),
            skippableFrame([1, 2, 3]) + (try zstd("-19 --check", [])) + skippableFrame([]),
        ]
        try expectSame(ways.map { .init($0, original: []) }, DecodingRig())
        let outcome = try DecodingRig().run(ways.map { .init($0, original: []) })
        #expect(outcome.bytesOut == 0)
    }

    @Test("Many images through one lane, in turn")
    func manyImages() throws {
        var random = SplitMix64(state: 99)
        let images = try (0..<20).map { index in
            let original = richBytes(random.magnitude(500_000), seed: UInt64(index))
            return DecodingRig.Image(try zstd("-1 --zstd=wlog=\(10 + index % 10)", original), original: original)
        }
        for (seed, shape) in Self.shapes.enumerated() {
            let rig = DecodingRig(
                lanes: 1 + seed % 3, slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, seed: UInt64(seed))
            try expectSame(images, rig)
        }
    }

    @Test("Frames of whole alignment units go to any lane, others stay; both arrive", arguments: 0..<6)
    func framesOverLanes(seed: UInt64) throws {
        var random = SplitMix64(state: seed)
        var (compressed, original): ([UInt8], [UInt8]) = ([], [])
        for index in 0..<24 {
            // Most end where another lane can take over, some do not, and then the next that does must find its place.
            let odd =
                [2: Int.random(in: 1..<8, using: &random) * 512, 4: Int.random(in: 0..<4096, using: &random)][index % 5] ?? 0
            let part = richBytes(random.magnitude(40) * 4096 + odd, seed: random.next())
            original += part
            compressed += try zstd("-1 --zstd=wlog=\(10 + index % 8)", part, throughPipe: index > 18 && index % 2 == 0)
        }
        for (lanes, shape) in zip([2, 3, 4, 2], Self.shapes) {
            let rig = DecodingRig(
                lanes: lanes, slotBytes: shape.slotBytes, inFlightBytes: shape.inFlightBytes, seed: seed)
            try expectSame([.init(compressed, original: original)], rig, "seed \(seed), \(lanes) lanes, \(shape)")
        }
    }

    @Test("Tens of thousands of empty frames are as good as none")
    func emptyFrames() throws {
        let empty = try zstd("-1 --no-check", [])
        let original = richBytes(100_000, seed: 1)
        let many = Array(repeatElement(empty, count: 20_000).joined())
        try expectSame([.init(many + (try zstd("-1", original)) + many, original: original)], DecodingRig(lanes: 2))
    }

    @Test("A lane takes a bounded number of frames before it decodes any, and a stop lets the giver go")
    func boundedTasks() throws {
        let limits = LaneLimits(
            windowBytesMax: 1 << 10, ringBytes: 1 << 20, slotBytes: 4096, inFlightBytes: 0,
            pipeBytes: 2 * BytePipe.pieceBytesMax)
        let lane = try Lane(number: 0, limits: limits, transfer: TransferState())
        let image = ImageJob(name: "x", sourceRange: 0..<0, sha384: [], decodedBytes: 0, deviceOffset: 0)
        let giver = try WorkerThread(name: "test-giver") {
            for _ in 0..<1000 { lane.give(.endOfImage(image, streamOffset: 0)) }
        }
        usleepMilliseconds(100)
        #expect(lane.backlog < 100)
        lane.stop()
        giver.join()
    }

    @Test("Bytes whose hash is not the one stated are an error that names both")
    func wrongHash() throws {
        let original = richBytes(100_000, seed: 5)
        let outcome = try DecodingRig(isHashRight: false).run([.init(try zstd("-1", original), original: original)])
        #expect(outcome.imageProblem?.contains("SHA-384") == true)
        #expect(outcome.violations == [])
    }
}
