import Testing

@testable import CosiFormat

/// The rule of docs/CONTENT_INDEX.md.
@Suite struct FrameCutterTests {
    private static let mean = 64 << 10
    private static let block = FrameCutter.blockBytes

    /// Blocks by their hashes; 0 is a block of zeros.
    private func frames(_ blocks: [UInt64]) -> [FrameCutter.Frame] {
        var cutter = FrameCutter(meanBytes: Self.mean)
        var frames: [FrameCutter.Frame] = []
        for block in blocks {
            if block == 0 {
                cutter.addZeros(UInt64(Self.block)) { frames.append($0) }
            } else {
                cutter.addData(hash: block) { frames.append($0) }
            }
        }
        cutter.finish { frames.append($0) }
        return frames
    }

    private func bytes(_ frame: FrameCutter.Frame) -> Int {
        switch frame {
        case .data(let bytes): bytes
        case .zeros(let bytes): Int(bytes)
        }
    }

    private func random(_ count: Int, seed: UInt64) -> [UInt64] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return max(state >> 20, 1)
        }
    }

    @Test("Frames cover the content, between a quarter and four times the mean", arguments: 1...5 as ClosedRange<UInt64>)
    func lengths(seed: UInt64) {
        let found = frames(random(20_000, seed: seed)).map(bytes)
        #expect(found.reduce(0, +) == 20_000 * Self.block)
        #expect(found.dropLast().allSatisfy { (Self.mean / 4...Self.mean * 4).contains($0) })
        let average = 20_000 * Self.block / found.count
        #expect((Self.mean * 8 / 10...Self.mean * 12 / 10).contains(average), "\(average), seed \(seed)")
    }

    @Test("Content that moved by whole blocks is cut into the same frames", arguments: [1, 2, 3, 17, 500])
    func moved(blocks: Int) {
        let content = random(4000, seed: 7)
        func ends(_ frames: [FrameCutter.Frame], before: Int) -> Set<Int> {
            var end = -before * Self.block
            return Set(
                frames.map { frame in
                    end += bytes(frame); return end
                })
        }
        let (one, other) = (ends(frames(content), before: 0), ends(frames(random(blocks, seed: 8) + content), before: blocks))
        #expect(one.intersection(other).count > one.count * 9 / 10)
    }

    @Test("A stretch of zeros is a frame of its own; fewer zeros are part of a frame of data")
    func zeros() {
        let data = [UInt64](repeating: 1, count: 3)
        let stretch = Self.mean / Self.block
        let (short, long) = ([UInt64](repeating: 0, count: stretch - 1), [UInt64](repeating: 0, count: stretch))
        #expect(frames(data + long + data) == [.data(bytes: 12288), .zeros(bytes: UInt64(Self.mean)), .data(bytes: 12288)])
        #expect(frames(data + short + data) == [.data(bytes: 24576 + Self.mean - 4096)])
        #expect(frames(short) == [.zeros(bytes: UInt64(Self.mean - 4096))])
        #expect(frames([]) == [])
    }

    @Test("A long stretch is cut into frames that a reader can hold")
    func longZeros() {
        var cutter = FrameCutter(meanBytes: Self.mean)
        var found: [FrameCutter.Frame] = []
        cutter.addZeros(200 << 20) { found.append($0) }
        cutter.addData(hash: 1) { found.append($0) }
        cutter.finish { found.append($0) }
        let most = FrameCutter.zeroBytesMax
        #expect(
            found == [.zeros(bytes: most), .zeros(bytes: most), .zeros(bytes: most), .zeros(bytes: 8 << 20), .data(bytes: 4096)])
    }

    @Test("No content has more frames than are reckoned with", arguments: 1...40 as ClosedRange<UInt64>)
    func bound(seed: UInt64) {
        var random = self.random(400, seed: seed)[...]
        var blocks: [UInt64] = []
        while let draw = random.popFirst() {
            blocks +=
                [UInt64](repeating: 0, count: Int(draw % 40)) + [UInt64](repeating: draw % 3 == 0 ? 48 : 1, count: Int(draw % 5))
        }
        let cutter = FrameCutter(meanBytes: Self.mean)
        let size = UInt64(blocks.count * Self.block)
        #expect(frames(blocks).count <= cutter.frameCountMax(runs: [0..<size], sizeBytes: size), "seed \(seed)")
    }
}
