import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("The account of what was handed to the writer")
struct ExtentAccountTests {
    @Test("It counts each byte once, refuses what was counted, and names what is missing, whatever the order", arguments: 0..<200)
    func againstABitmap(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var (account, bitmap) = (ExtentAccount(), [Bool](repeating: false, count: 200))
        for _ in 0..<60 {
            let start = Int.random(in: 0..<190, using: &random)
            let range = start..<start + Int.random(in: 1...10, using: &random)
            let twice = range.filter { bitmap[$0] }
            let found = account.add(UInt64(range.lowerBound)..<UInt64(range.upperBound))
            #expect((found == nil) == twice.isEmpty, "seed \(seed)")
            // What it names was counted before and is asked for again.
            if let found { #expect(found.allSatisfy { twice.contains(Int($0)) } && !found.isEmpty, "seed \(seed)") }
            if twice.isEmpty { for byte in range { bitmap[byte] = true } }
            #expect(account.totalBytes == UInt64(bitmap.count { $0 }), "seed \(seed)")
            let covered = account.ranges.flatMap { Array($0) }.map { Int($0) }
            #expect(covered == bitmap.indices.filter { bitmap[$0] }, "seed \(seed)")
            #expect(zip(account.ranges, account.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "seed \(seed)")
        }
        var expected = ExtentAccount()
        let (from, to) = (UInt64.random(in: 0..<100, using: &random), UInt64.random(in: 101...200, using: &random))
        #expect(expected.add(from..<to) == nil)
        let differing = bitmap.indices.filter { bitmap[$0] != (from..<to).contains(UInt64($0)) }
        #expect(account.firstDifference(from: expected)?.lowerBound == differing.first.map { UInt64($0) }, "seed \(seed)")
        #expect(account.firstDifference(from: account) == nil)
    }

    /// Through a writer, onto a disk in memory.
    private func drained(
        _ extents: [Range<UInt64>], goal: SimulatedRun.Goal = .write
    ) throws -> (TransferState, Result<Void, StreamFault>, SimulatedMedium) {
        let medium = SimulatedMedium([UInt8](repeating: 7, count: 64 << 10))
        let disk = SimulatedQueue(medium)
        let (queue, run) = (ExtentQueue(waker: disk.waker), TransferState())
        for extent in extents {
            queue.push(DecodedExtent(memory: nil, lengthBytes: extent.count, deviceOffset: extent.lowerBound))
        }
        queue.close()
        let geometry = DiskGeometry(path: "simulated", sizeBytes: 64 << 10, blockBytes: 512)
        var expected = ExtentAccount()
        _ = expected.add(4096..<32768)
        do throws(StreamFault) {
            if goal == .compare {
                var comparer = try DiskComparer(queue: disk, disk: geometry)
                comparer.drain(queue, run, tick: { _ in })
                try comparer.requireAll(of: expected)
            } else {
                var writer = try DiskWriter(
                    queue: disk, disk: geometry, options: .init(readsBack: goal == .writeAndReadBack))
                writer.drain(queue, run, tick: { _ in })
                try writer.requireAll(of: expected)
            }
            return (run, .success(()), medium)
        } catch {
            return (run, .failure(error), medium)
        }
    }

    @Test(
        "Extents that cover the images are enough, in any order",
        arguments: [SimulatedRun.Goal.write, .writeAndReadBack, .compare])
    func whole(goal: SimulatedRun.Goal) throws {
        let (run, result, _) = try drained([20480..<32768, 4096..<8192, 8192..<20480], goal: goal)
        #expect(run.failure == nil)
        #expect((try? result.get()) != nil)
    }

    @Test(
        "A gap, a start too late, an end too early and bytes beyond the images give no proof",
        arguments: [
            [4096..<8192, 8704..<32768], [4608..<32768], [4096..<32256], [4096..<33280], [4096..<32768, 40960..<41472], [],
        ])
    func gaps(extents: [Range<UInt64>]) throws {
        let (run, result, _) = try drained(extents)
        #expect(run.failure == nil)
        guard case .failure(.image(let error)) = result else {
            Issue.record("no error")
            return
        }
        #expect(error.problem.contains("not covered"))
    }

    @Test(
        "What comes twice is not written, and ends the run",
        arguments: [
            [4096..<8192, 8192..<32768, 8192..<12288], [4096..<8192, 7680..<32768], [4096..<32768, 4096..<32768],
            [4096..<8192, 8192..<32768, 0..<4608],
        ])
    func overlaps(extents: [Range<UInt64>]) throws {
        let (run, _, medium) = try drained(extents)
        guard case .image(let error)? = run.failure else {
            Issue.record("no error")
            return
        }
        #expect(error.problem.contains("two frames hold"))
        #expect(medium.bytes[..<4096].allSatisfy { $0 == 7 })
    }
}
