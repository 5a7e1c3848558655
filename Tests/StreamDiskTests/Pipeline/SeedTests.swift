import CosiFormat
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mean = 64 << 10

/// Frames found in seeds: the table, the scan and the copy.
@Suite struct SeedTests {
    /// What an index lists of these bytes, by a straight reading of the rule: block by block.
    private func frames(of bytes: [UInt8]) -> [ContentIndex.Frame] {
        var cutter = FrameCutter(meanBytes: mean)
        var found: [ContentIndex.Frame] = []
        var at = 0
        func add(_ frame: FrameCutter.Frame) {
            let (count, isZero) =
                switch frame {
                case .data(let bytes): (bytes, false)
                case .zeros(let bytes): (Int(bytes), true)
                }
            found.append(
                ContentIndex.Frame(
                    compressedOffset: UInt64(at), compressedBytes: 1, contentOffset: UInt64(at), contentBytes: UInt32(count),
                    isZero: isZero, sha256: ContentHash(sha256(Array(bytes[at..<at + count])))))
            at += count
        }
        for start in stride(from: 0, to: bytes.count, by: FrameCutter.blockBytes) {
            let block = Array(bytes[start..<min(start + FrameCutter.blockBytes, bytes.count)])
            if block.allSatisfy({ $0 == 0 }) {
                cutter.addZeros(UInt64(block.count)) { add($0) }
            } else {
                cutter.addData(hash: checksum(block), bytes: block.count) { add($0) }
            }
        }
        cutter.finish { add($0) }
        return found
    }

    private func checksum(_ bytes: [UInt8]) -> UInt64 {
        guard let buffer = try? DirectBuffer(sizeBytes: bytes.count) else { return 0 }
        buffer.copy(unsafe bytes.span.bytes, to: 0)
        return buffer.checksum(0, count: bytes.count)
    }

    private func sha256(_ bytes: [UInt8]) -> [UInt8] { MessageDigest.digest(of: bytes, .sha256) }

    private func file(_ bytes: [UInt8], _ name: String, in folder: URL) throws -> SeedFile {
        let file = folder.appending(path: name)
        try Data(bytes).write(to: file)
        return try SeedFile.open(path: file.path, besides: [])
    }

    private func scan(_ seeds: [SeedFile], for frames: [ContentIndex.Frame]) throws -> SeedTable {
        var table = SeedTable()
        for frame in frames { table.want(frame) }
        let (found, problems) = try SeedScan(seeds, meanBytes: mean, table, threads: 3).run(stop: Cancellation())
        #expect(problems.isEmpty)
        return found
    }

    /// Content with stretches of zeros, short ones and long ones.
    private func content(_ seed: UInt64) -> [UInt8] {
        sampleBytes(3 << 20, seed: seed) + [UInt8](repeating: 0, count: 12288) + sampleBytes(500_000, seed: seed + 1)
            + [UInt8](repeating: 0, count: 1 << 20) + sampleBytes(700_001, seed: seed + 2)
    }

    @Test("Every frame of an image is found in a seed that has its bytes, at the place where they lie.")
    func findsAll() throws {
        try withTemporaryFolder { folder in
            let bytes = content(1)
            let wanted = frames(of: bytes).filter { !$0.isZero }
            let table = try scan([try file(bytes, "seed", in: folder)], for: wanted)
            #expect(table.missing == 0 && wanted.count > 20)
            for frame in wanted { #expect(table[frame] == SeedTable.Place(seed: 0, offset: frame.contentOffset)) }
        }
    }

    @Test("Content that moved by whole blocks is found, but for the frames around what was put in and taken out.")
    func findsMoved() throws {
        try withTemporaryFolder { folder in
            let old = content(10)
            // Blocks are put in at the front, and some are taken out in the middle.
            var new = sampleBytes(5 * 4096, seed: 77)
            new += Array(old[..<(1 << 20)])
            new += Array(old[((1 << 20) + 8192)...])
            let wanted = frames(of: new).filter { !$0.isZero }
            let table = try scan([try file(old, "seed", in: folder)], for: wanted)
            var (foundBytes, wantedBytes) = (0, 0)
            for frame in wanted {
                wantedBytes += Int(frame.contentBytes)
                guard let place = table[frame] else { continue }
                foundBytes += Int(frame.contentBytes)
                #expect(piece(of: old, place.offset, frame) == piece(of: new, frame.contentOffset, frame))
            }
            #expect(foundBytes * 100 > wantedBytes * 85)
        }
    }

    private func piece(of bytes: [UInt8], _ offset: UInt64, _ frame: ContentIndex.Frame) -> [UInt8] {
        Array(bytes[Int(offset)..<Int(offset) + Int(frame.contentBytes)])
    }

    @Test("Several seeds are searched; a seed with nothing in common has nothing.")
    func severalSeeds() throws {
        try withTemporaryFolder { folder in
            let (one, two) = (content(20), content(30))
            let seeds = [
                try file(content(40), "other", in: folder), try file(one, "one", in: folder), try file(two, "two", in: folder),
            ]
            let wanted = (frames(of: one) + frames(of: two)).filter { !$0.isZero }
            let table = try scan(seeds, for: wanted)
            #expect(table.missing == 0 && Set(wanted.compactMap { table[$0]?.seed }) == [1, 2])
            #expect(try scan([seeds[0]], for: wanted).missing == wanted.count)
        }
    }

    @Test("A seed that ends before its size says, as one that shrinks, only costs what lies behind.")
    func truncatedSeed() throws {
        try withTemporaryFolder { folder in
            let bytes = content(50)
            let seed = try file(bytes, "seed", in: folder)
            try run("truncate", ["-s", "2M", folder.appending(path: "seed").path])
            var table = SeedTable()
            for frame in frames(of: bytes) { table.want(frame) }
            let (found, problems) = try SeedScan([seed], meanBytes: mean, table, threads: 1).run(stop: Cancellation())
            #expect(problems.map(\.cause.code) == [EIO] && problems.map(\.offset) == [2 << 20])
            #expect(found.missing > 0 && found.missing < frames(of: bytes).count)
        }
    }

    @Test("What is copied has the hash that is wanted; a frame that changed since the scan is not handed over.")
    func copies() throws {
        try withTemporaryFolder { folder in
            let bytes = content(60)
            let seed = try file(bytes, "seed", in: folder)
            let wanted = frames(of: bytes).filter { !$0.isZero }
            let table = try scan([seed], for: wanted)
            let rotten = wanted[wanted.count / 2]
            let handle = try FileHandle(forWritingTo: folder.appending(path: "seed"))
            try handle.seek(toOffset: rotten.contentOffset + 5)
            try handle.write(contentsOf: [bytes[Int(rotten.contentOffset) + 5] ^ 1])
            try handle.close()
            let longest = wanted.map { Int($0.contentBytes) }.max() ?? 0
            let copy = try SeedCopy([seed], frameBytesMax: longest, blockBytes: 512)
            var result = [UInt8](repeating: 0, count: (bytes.count + 511) / 512 * 512)
            for frame in wanted {
                let queue = ExtentQueue(waker: ConditionWaker())
                let place = try #require(table[frame])
                let isDone = try copy.copy(frame, from: place, toDevice: frame.contentOffset, into: queue)
                #expect(isDone == (frame.sha256 != rotten.sha256))
                var extents: [DecodedExtent] = []
                _ = queue.take(into: &extents)
                for extent in extents {
                    #expect(extent.lengthBytes <= LanePlan.slotBytes && extent.lengthBytes % 512 == 0)
                    if let memory = extent.memory {
                        let start = Int(extent.deviceOffset)
                        memory.ring.buffer.withBytes(memory.ringOffset, count: extent.lengthBytes) { span in
                            for index in 0..<extent.lengthBytes {
                                result[start + index] = unsafe span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                            }
                        }
                    }
                    extent.release()
                }
                #expect(isDone != extents.isEmpty)
            }
            let hole = Int(rotten.contentOffset)..<Int(rotten.contentOffset) + Int(rotten.contentBytes)
            #expect(result[hole].allSatisfy { $0 == 0 })
            #expect(result[..<hole.lowerBound].elementsEqual(bytes[..<hole.lowerBound]))
            #expect(result[hole.upperBound..<bytes.count].elementsEqual(bytes[hole.upperBound...]))
        }
    }

    @Test("A seed that is the target, under whatever name, is refused in one clear sentence.")
    func targetIsNoSeed() throws {
        try withTemporaryFolder { folder in
            let target = folder.appending(path: "target").path
            try Data(count: 4096).write(to: URL(filePath: target))
            let link = folder.appending(path: "link").path
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
            for path in [target, link] {
                let error = try #require(throws: DiskSelectionError.self) { try SeedFile.open(path: path, besides: [target]) }
                #expect(error.kind == .inUse)
                #expect(error.reason == "it shares bytes with \(target), which is written; name another seed, or none")
            }
            #expect(throws: DiskSelectionError.self) { try SeedFile.open(path: folder.path, besides: [target]) }
            #expect(throws: DiskSelectionError.self) { try SeedFile.open(path: folder.path + "/none", besides: [target]) }
        }
    }

    @Test("A seed that another run is writing is refused: its lock is not to be had.")
    func lockedSeed() throws {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "seed").path
            try Data(count: 4096).write(to: URL(filePath: path))
            let other = unsafe open(path, O_RDWR)
            defer { close(other) }
            #expect(flock(other, LOCK_EX | LOCK_NB) == 0)
            let error = try #require(throws: DiskSelectionError.self) { try SeedFile.open(path: path, besides: []) }
            #expect(error.kind == .inUse || error.kind == .busy)
        }
    }
}
