import CosiFormat
import Foundation
import Testing

@testable import StreamDisk

/// The whole order of writes, from the invalidation to the commit, with real lanes, onto a simulated disk.
///
/// The disk carried another table and random bytes before, and is larger than the image's.
struct SimulatedRun: Sendable {
    static let diskBytes = 2_621_440
    static let blockBytes = 512

    let before: [UInt8]
    let placement: GPT.Placement
    let jobs: [ImageJob]
    let source: [UInt8]
    /// What each image must have become.
    let originals: [[UInt8]]

    /// Made once: sgdisk(8) sleeps after each table.
    static func prepared() throws -> SimulatedRun { try made.get() }
    private static let made = Result { try SimulatedRun() }

    private init() throws {
        let imageBytes = 2 << 20
        let new = try Self.sgdisk(imageBytes, [
            "--disk-guid=11111111-1111-1111-1111-111111111111", "-n", "1:40:1063", "-n", "2:1064:3000", "-n", "3:3001:4000",
        ])
        let old = try Self.sgdisk(Self.diskBytes, [
            "--disk-guid=22222222-2222-2222-2222-222222222222", "-n", "1:40:2000", "-n", "2:2001:5000",
        ])
        // Behind the tables: bytes that were somebody's.
        before = Array(old[..<(34 * 512)]) + sampleBytes(Self.diskBytes - 67 * 512, seed: 22) + Array(old.suffix(33 * 512))
        let (gpt, _) = try GPT.parse(
            primary: Array(new[..<(34 * 512)]), lbaSize: 512, diskSizeBytes: UInt64(imageBytes))
        placement = try gpt.placement(onDeviceOf: UInt64(Self.diskBytes))
        // One fills its partition, one is smaller and of odd length, one is mostly zeros.
        originals = [
            richBytes(1024 * 512, seed: 1), richBytes(700_001, seed: 2),
            [UInt8](repeating: 0, count: 300_000) + richBytes(50_000, seed: 3) + [UInt8](repeating: 0, count: 70_000),
        ]
        var (bytes, listed): ([UInt8], [ImageJob]) = ([], [])
        for (original, partition) in zip(originals, gpt.partitions) {
            // Frames that different lanes can decode, and one at whose end none can take over.
            let cuts = [0, 20 << 12, 60 << 12, original.count - 1000, original.count]
            let compressed = try zip(cuts, cuts.dropFirst()).reduce(skippableFrame([1, 2, 3])) { frames, cut in
                frames + (try zstd("-3 --zstd=wlog=16", Array(original[cut.0..<cut.1])))
            }
            listed.append(
                ImageJob(
                    name: "image \(partition.number)",
                    sourceRange: UInt64(bytes.count)..<UInt64(bytes.count + compressed.count),
                    sha384: SHA384.digest(of: compressed), uncompressedBytes: UInt64(original.count),
                    deviceOffset: partition.offsetBytes))
            bytes += compressed
        }
        (jobs, source) = (listed, bytes)
    }

    private static func sgdisk(_ sizeBytes: Int, _ arguments: [String]) throws -> [UInt8] {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "disk")
            try Data(count: sizeBytes).write(to: file)
            try StreamDiskTests.run("sgdisk", ["-a", "1"] + arguments + [file.path])
            return [UInt8](try Data(contentsOf: file))
        }
    }

    /// Runs it, with the caller's thread as the writer's. Returns why it failed, nil when it did not.
    func execute(
        on medium: SimulatedMedium, seed: UInt64 = 0, lanes: Int = 2, capacity: Int = 8, slotBytes: Int = 16 << 10,
        faults: SimulatedFaults = .none, state: RunState = RunState(), source: MemorySource? = nil,
        check: DiskCheck = .nothing
    ) throws -> StreamFault? {
        try execute(
            through: SimulatedDisk(medium, capacity: capacity, seed: seed, faults: faults), medium, seed: seed, lanes: lanes,
            slotBytes: slotBytes, state: state, source: source, check: check)
    }

    /// The same through a queue of the caller's. Where `check` says so, it compares instead of writing.
    func execute<Queue: DiskQueue & ~Copyable>(
        through queue: consuming Queue, _ medium: SimulatedMedium, seed: UInt64 = 0, lanes: Int = 2,
        slotBytes: Int = 16 << 10, state: RunState = RunState(), source: MemorySource? = nil, check: DiskCheck
    ) throws -> StreamFault? {
        let geometry = DiskGeometry(
            path: "simulated", sizeBytes: UInt64(medium.before.count), blockBytes: medium.blockBytes)
        var writer = try DiskWriter(queue: queue, disk: geometry, check: check)
        let windowBytes: UInt64 = 1 << 16
        let limits = LaneLimits(
            windowBytesMax: windowBytes,
            ringBytes: SlotRing.lapBytes(
                windowBytes: windowBytes, contentBytes: nil, blockBytesMax: 128 << 10, inFlightBytes: 128 << 10),
            slotBytes: slotBytes, inFlightBytes: 128 << 10, pipeBytes: 2 * BytePipe.pieceBytesMax)
        do throws(StreamFault) {
            let pool = try LanePool(count: lanes, limits: limits, imageBytes: jobs.map(\.uncompressedBytes), run: state)
            let (jobs, source) = (ListedJobs(jobs), source ?? MemorySource(self.source, seed: seed))
            let fetchers = 1 + Int(seed) % lanes
            if check == .insteadOfWriting {
                try writer.stream(jobs: jobs, from: source, lanes: pool, fetchers: fetchers, run: state, tick: { _ in })
                guard let range = writer.firstDifference else { return nil }
                return .mismatch(
                    DiskMismatch(.image, path: "simulated", area: nil, range: range, count: writer.differenceCount))
            }
            let invalidated = try writer.invalidate(placement)
            let written = try writer.write(
                invalidated, jobs: jobs, from: source, lanes: pool, fetchers: fetchers, run: state, tick: { _ in })
            let verified = try writer.flush(written, stop: state.stop, tick: { _ in })
            try writer.commit(verified, placement)
            return nil
        } catch { return error }
    }

    var newMedium: SimulatedMedium { SimulatedMedium(before, blockBytes: Self.blockBytes) }

    // MARK: Looking at what is on the disk

    /// Whether every byte of every image is in its partition.
    func holdsImages(_ disk: [UInt8]) -> Bool {
        zip(jobs, originals).allSatisfy { job, original in
            isSame(unsafe original.span.bytes, disk, at: Int(job.deviceOffset))
        }
    }

    /// Whether what lies between the tables is as it was.
    func holdsOldData(_ disk: [UInt8]) -> Bool {
        let data = Array(before[34 * 512..<Self.diskBytes - 33 * 512])
        return isSame(unsafe data.span.bytes, disk, at: 34 * 512)
    }

    enum Table: Equatable { case primary(guid: UInt8), backup(guid: UInt8) }

    /// The tables that a reader would believe: signature, place and both CRCs right (UEFI 2.10 §5.3.2). A table is named by the
    /// first byte of its disk GUID, 0x11 for the new one, 0x22 for the old.
    func tables(_ disk: [UInt8]) -> [Table] {
        let last = disk.count / 512 - 1
        return [1, last].compactMap { lba in
            let header = Array(disk[lba * 512..<(lba + 1) * 512])
            func number(_ at: Int, _ count: Int) -> Int {
                (0..<count).reduce(0) { $0 | Int(header[at + $1]) << (8 * $1) }
            }
            guard Array(header[..<8]) == Array("EFI PART".utf8), number(12, 4) == 92, number(24, 8) == lba else { return nil }
            var sealed = Array(header[..<92])
            sealed.replaceSubrange(16..<20, with: [0, 0, 0, 0])
            guard crc32(sealed) == UInt32(number(16, 4)) else { return nil }
            let (start, count) = (number(72, 8) * 512, number(80, 4) * number(84, 4))
            guard count <= 128 * 128, start + count <= disk.count,
                crc32(Array(disk[start..<start + count])) == UInt32(number(88, 4))
            else { return nil }
            return lba == 1 ? .primary(guid: header[56]) : .backup(guid: header[56])
        }
    }
}

private let crcTable: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 != 0 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
}

private func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { crcTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
}
