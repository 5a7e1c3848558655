import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("Where old signatures are zeroed")
struct WriteAreasTests {
    private static let mib: UInt64 = 1 << 20

    @Test(
        "In no partition's image, in no partition without one, and in no table; everywhere else at both ends",
        arguments: 0..<300)
    func areas(seed: UInt64) {
        var random = SplitMix64(state: seed)
        let block = UInt64(seed % 2 == 0 ? 512 : 4096)
        // From disks that are all edge to some that have a middle.
        let blocks = UInt64.random(in: 100...(8 * Self.mib / block), using: &random)
        let diskBytes = blocks * block + UInt64.random(in: 0..<block, using: &random)
        let tables = [0..<6 * block, (blocks - 5) * block..<blocks * block]
        var (partitions, regions, at): ([Range<UInt64>], [WriteAreas.Region], UInt64) = ([], [], 6)
        while at + 1 < blocks - 5, partitions.count < 6 {
            let start = UInt64.random(in: at..<min(at + blocks / 3, blocks - 5), using: &random)
            let end = UInt64.random(in: start + 1...min(start + blocks / 2, blocks - 5), using: &random)
            partitions.append(start * block..<end * block)
            let length = (end - start) * block
            if Bool.random(using: &random) {
                let drawn = UInt64.random(in: 0...length, using: &random)
                let choices: [UInt64] = [0, 1, length, length - 1, drawn]
                let bytes = choices.randomElement(using: &random) ?? 0
                regions.append(WriteAreas.Region(partition: partitions[partitions.count - 1], imageBytes: bytes))
            }
            at = end
        }
        let areas = WriteAreas(
            regions: regions, partitions: partitions, tables: tables, diskBytes: diskBytes, blockBytes: Int(block))

        enum Owner { case nobody, partition, image, tail, table }
        var owners = [Owner](repeating: .nobody, count: Int(blocks))
        func mark(_ range: Range<UInt64>, _ owner: Owner) {
            for index in range.lowerBound / block..<range.upperBound / block { owners[Int(index)] = owner }
        }
        for range in tables { mark(range, .table) }
        for range in partitions { mark(range, .partition) }
        for region in regions {
            for index in region.partition.lowerBound / block..<region.partition.upperBound / block {
                let (start, end) = (index * block, (index + 1) * block)
                if start < region.partition.lowerBound + region.imageBytes {
                    owners[Int(index)] = .image
                } else if end + Self.mib > region.partition.upperBound {
                    owners[Int(index)] = .tail
                }
            }
        }
        func marked(_ ranges: [Range<UInt64>]) -> Set<UInt64> {
            Set(ranges.flatMap { $0.lowerBound / block..<$0.upperBound / block })
        }
        #expect((areas.gaps + areas.images + areas.tails).allSatisfy { $0.lowerBound % block == 0 && $0.upperBound % block == 0 })
        let edge = { (index: UInt64) in index * block < Self.mib || (index + 1) * block + Self.mib > blocks * block }
        let all = 0..<blocks
        #expect(marked(areas.gaps) == Set(all.filter { owners[Int($0)] == .nobody && edge($0) }), "seed \(seed)")
        #expect(marked(areas.images) == Set(all.filter { owners[Int($0)] == .image }), "seed \(seed)")
        #expect(marked(areas.tails) == Set(all.filter { owners[Int($0)] == .tail }), "seed \(seed)")
        #expect(areas.tails.allSatisfy { $0.count <= Int(Self.mib) })
    }
}
