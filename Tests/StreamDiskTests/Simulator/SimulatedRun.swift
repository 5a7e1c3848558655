import CosiFormat
import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// The whole order of writes, from the invalidation to the commit, with real lanes, onto a simulated disk.
///
/// The disk carried another table and random bytes before, and is larger than the image's.
struct SimulatedRun: Sendable {
    /// The disk of the image, the disk it goes onto, and what its partitions hold.
    struct Shape: Hashable, Sendable {
        var blockBytes = 512
        var imageBlocks = 4096
        /// Not fewer than the image's.
        var diskBlocks = 5120
        /// First and last block of each; the old system's do not end where these do.
        var partitions = [40...1063, 1064...3000, 3001...4000]
        var old = [40...2000, 2001...3990]
        var contents: [Content] = [.rich(1024 * 512), .rich(700_001), .zeros(300_000, then: 50_000, 70_000)]

        enum Content: Hashable, Sendable {
            case rich(Int)
            case zeros(Int, then: Int, Int)
            /// The partition has no image: it keeps what it held.
            case none
        }

        static let all = [
            Shape(),
            // As large as the image's; the disk is all partitions, one of them without an image, one of nothing but zeros.
            Shape(
                imageBlocks: 2048, diskBlocks: 2048, partitions: [34...533, 600...1099, 1100...2013], old: [34...2013],
                contents: [.rich(256_000), .none, .zeros(467_968, then: 0, 0)]),
            Shape(
                blockBytes: 4096, imageBlocks: 512, diskBlocks: 512, partitions: [6...105, 106...255, 256...505],
                old: [10...300, 301...505],
                contents: [.rich(409_600), .rich(300_001), .zeros(700_000, then: 50_000, 200_000)]),
            Shape(
                blockBytes: 4096, imageBlocks: 512, diskBlocks: 640, partitions: [6...505], old: [6...600],
                contents: [.rich(1_500_000)]),
        ]
    }

    /// What is done with what the lanes decode.
    enum Goal: Sendable { case write, writeAndReadBack, compare }

    /// What the disk carried before.
    enum Was: CaseIterable, Sendable {
        /// Another system, whole.
        case other
        /// An earlier state of the same one: its very tables, over other bytes.
        case same
        case random
        case blank
    }

    static let diskBytes = Shape().diskBlocks * Shape().blockBytes

    let shape: Shape
    private(set) var before: [UInt8]
    let placement: GPT.Placement
    let areas: WriteAreas
    let jobs: [ImageJob]
    let source: [UInt8]
    /// What each image must have become.
    let originals: [[UInt8]]
    /// The disk that the image was made from, by fdisk(8): its tables are the truth about the new ones.
    let imageDisk: [UInt8]
    private let oldDisk: [UInt8]

    /// Of each shape one is made.
    static func prepared(_ shape: Shape = Shape(), was: Was = .other) throws -> SimulatedRun {
        var run = try made.withLock { made in
            if let run = made[shape] { return run }
            let run = try SimulatedRun(shape)
            made[shape] = run
            return run
        }
        if was != .other { run.before = try run.disk(was) }
        return run
    }
    private static let made = Monitor<[Shape: SimulatedRun]>([:])

    private init(_ shape: Shape) throws {
        self.shape = shape
        imageDisk = try Self.fdisk(shape, blocks: shape.imageBlocks, guid: "1", shape.partitions)
        oldDisk = try Self.fdisk(shape, blocks: shape.diskBlocks, guid: "2", shape.old)
        let (gpt, _) = try GPT.parse(
            primary: Array(imageDisk[..<Self.tableBytes(shape)]), blockBytes: shape.blockBytes,
            diskSizeBytes: UInt64(imageDisk.count))
        placement = try gpt.placement(onDeviceOf: UInt64(oldDisk.count))
        // One fills its partition, one is smaller and of odd length, one is mostly zeros.
        originals = shape.contents.enumerated().map { number, content in
            switch content {
            case .rich(let count): richBytes(count, seed: UInt64(number + 1))
            case .zeros(let head, let rich, let tail):
                [UInt8](repeating: 0, count: head) + (rich > 0 ? richBytes(rich, seed: UInt64(number + 1)) : [])
                    + [UInt8](repeating: 0, count: tail)
            case .none: []
            }
        }
        var (bytes, listed): ([UInt8], [ImageJob]) = ([], [])
        for (original, partition) in zip(originals, gpt.partitions) where !original.isEmpty {
            // Frames that different lanes can decode, and one at whose end none can take over.
            let cuts = [0, 20 << 12, 60 << 12, original.count - 1000, original.count]
            let compressed = try zip(cuts, cuts.dropFirst()).reduce(skippableFrame([1, 2, 3])) { frames, cut in
                frames + (try zstd("-3 --zstd=wlog=16", Array(original[cut.0..<cut.1])))
            }
            listed.append(
                ImageJob(
                    name: "image \(partition.number)",
                    sourceRange: UInt64(bytes.count)..<UInt64(bytes.count + compressed.count),
                    sha384: SHA384.digest(of: compressed), decodedBytes: UInt64(original.count),
                    deviceOffset: partition.offsetBytes))
            bytes += compressed
        }
        areas = WriteAreas(
            regions: zip(originals, gpt.partitions).filter { !$0.0.isEmpty }.map { original, partition in
                WriteAreas.Region(
                    partition: partition.offsetBytes..<partition.offsetBytes + partition.sizeBytes,
                    imageBytes: UInt64(original.count))
            },
            partitions: gpt.partitions.map { $0.offsetBytes..<$0.offsetBytes + $0.sizeBytes },
            tables: placement.parts.map(\.range), diskBytes: UInt64(oldDisk.count), blockBytes: shape.blockBytes)
        (jobs, source, before) = (listed, bytes, [])
        before = try disk(.other)
    }

    private static func tableBytes(_ shape: Shape) -> Int { 2 * shape.blockBytes + 128 * 128 }

    private static func fdisk(
        _ shape: Shape, blocks: Int, guid digit: Character, _ partitions: [ClosedRange<Int>]
    ) throws -> [UInt8] {
        let first = tableBytes(shape) / shape.blockBytes
        let guid = "00000000-0000-0000-0000-000000000000".replacing("0", with: String(digit))
        let script =
            ["label: gpt", "label-id: \(guid)", "first-lba: \(first)"]
            + partitions.map { "start=\($0.lowerBound), size=\($0.count)" }
        return try withTemporaryFolder { folder in
            try Data(script.joined(separator: "\n").utf8).write(to: folder.appending(path: "script"))
            try Data(count: blocks * shape.blockBytes).write(to: folder.appending(path: "disk"))
            // Alone among the partitioners fdisk takes the block size of a file as an argument.
            let command = "cd '\(folder.path)' && printf 'I\nscript\nw\n' | fdisk -b \(shape.blockBytes) disk"
            try TestSupport.run("sh", ["-c", command])
            return [UInt8](try Data(contentsOf: folder.appending(path: "disk")))
        }
    }

    private func disk(_ was: Was) throws -> [UInt8] {
        let tableBytes = Self.tableBytes(shape)
        let backupBytes = tableBytes - shape.blockBytes
        var disk = sampleBytes(oldDisk.count, seed: 22)
        switch was {
        case .other:
            // Behind the tables: bytes that were somebody's; in LBA 0 a boot loader that nobody else has.
            disk.replaceSubrange(440..<tableBytes, with: oldDisk[440..<tableBytes])
            disk.replaceSubrange(disk.count - backupBytes..<disk.count, with: oldDisk.suffix(backupBytes))
        case .same:
            disk.replaceSubrange(
                440..<tableBytes, with: (placement.mbr + placement.primary)[440..<tableBytes])
            disk.replaceSubrange(disk.count - placement.backup.count..<disk.count, with: placement.backup)
        case .random: break
        case .blank: disk = [UInt8](repeating: 0, count: disk.count)
        }
        return disk
    }

    /// The disk as it must be when all has gone well, but for its tables.
    var after: [UInt8] {
        var disk = before
        let (mebibyte, block) = (1 << 20, shape.blockBytes)
        // Old signatures: what lies in the first and the last MiB of the disk and in no partition.
        for start in stride(from: 0, to: disk.count, by: block)
        where (start < mebibyte || start >= disk.count - mebibyte) && !shape.partitions.contains(where: { $0 ~= start / block }) {
            disk.replaceSubrange(start..<start + block, with: [UInt8](repeating: 0, count: block))
        }
        for (partition, original) in zip(shape.partitions, originals) where !original.isEmpty {
            let (start, end) = (partition.lowerBound * block, (partition.upperBound + 1) * block)
            let imageEnd = start + (original.count + block - 1) / block * block
            // And what the image leaves of its partition's last MiB.
            let zeroed = max(imageEnd, end - mebibyte)..<end
            if !zeroed.isEmpty { disk.replaceSubrange(zeroed, with: [UInt8](repeating: 0, count: zeroed.count)) }
            disk.replaceSubrange(
                start..<imageEnd, with: original + [UInt8](repeating: 0, count: imageEnd - start - original.count))
        }
        return disk
    }

    /// The same on a disk that holds other bytes.
    func onto(_ disk: [UInt8]) -> SimulatedRun {
        var run = self
        run.before = disk
        return run
    }

    /// Runs it, with the caller's thread as the writer's. Returns why it failed, nil when it did not.
    func execute(
        on medium: SimulatedMedium, seed: UInt64 = 0, lanes: Int = 2, capacity: Int = 8, slotBytes: Int = 16 << 10,
        faults: SimulatedFaults = .none, state: TransferState = TransferState(), source: MemorySource? = nil,
        goal: SimulatedRun.Goal = .write
    ) throws -> StreamFault? {
        try execute(
            through: SimulatedQueue(medium, capacity: capacity, seed: seed, faults: faults), medium, seed: seed, lanes: lanes,
            slotBytes: slotBytes, state: state, source: source, goal: goal)
    }

    /// The same through a queue of the caller's. Where `goal` says so, it compares instead of writing.
    func execute<Queue: DiskQueue & ~Copyable>(
        through queue: consuming Queue, _ medium: SimulatedMedium, seed: UInt64 = 0, lanes: Int = 2,
        slotBytes: Int = 16 << 10, state: TransferState = TransferState(), source: MemorySource? = nil,
        feed: (any JobFeed)? = nil,
        goal: SimulatedRun.Goal
    ) throws -> StreamFault? {
        let geometry = DiskGeometry(
            path: "simulated", sizeBytes: UInt64(medium.before.count), blockBytes: medium.blockBytes)
        let windowBytes: UInt64 = 1 << 16
        let plan = LanePlan(
            lanes: lanes,
            limits: LaneLimits(
                windowBytesMax: windowBytes,
                ringBytes: SlotRing.lapBytes(
                    windowBytes: windowBytes, contentBytes: nil, blockBytesMax: 128 << 10, inFlightBytes: 128 << 10),
                slotBytes: slotBytes, inFlightBytes: 128 << 10, pipeBytes: 2 * BytePipe.pieceBytesMax))
        let source = source ?? MemorySource(self.source, seed: seed)
        let jobs = feed ?? ListedJobs(jobs, concurrentMax: 1 + Int(seed % UInt64(lanes)))
        do throws(StreamFault) {
            if goal == .compare {
                var comparer = try DiskComparer(queue: queue, disk: geometry)
                let pipeline = try Pipeline(jobs, from: source, plan: plan, for: comparer, transfer: state)
                try pipeline.run(into: &comparer, tick: { _ in })
                try comparer.requireAll(of: areas.imageAccount)
                guard let range = comparer.firstDifference else { return nil }
                return .mismatch(
                    DiskMismatch(.image, path: "simulated", area: nil, range: range, count: comparer.differenceCount))
            }
            var writer = try DiskWriter(
                queue: queue, disk: geometry, options: .init(readsBack: goal == .writeAndReadBack))
            let pipeline = try Pipeline(jobs, from: source, plan: plan, for: writer, transfer: state)
            let invalidated = try writer.invalidate(placement, gaps: areas.gaps)
            let written = try writer.write(invalidated, areas, from: pipeline)
            let verified = try writer.flush(written, stop: state.stop)
            try writer.commit(verified, placement)
            return nil
        } catch { return error }
    }

    var newMedium: SimulatedMedium { SimulatedMedium(before, blockBytes: shape.blockBytes) }

    // MARK: Looking at what is on the disk

    /// Whether every byte of every image is in its partition.
    func holdsImages(_ disk: [UInt8]) -> Bool {
        zip(jobs, originals.filter { !$0.isEmpty }).allSatisfy { job, original in
            isSame(unsafe original.span.bytes, disk, at: Int(job.deviceOffset))
        }
    }

    /// Whether what lies between the tables is as it was.
    func holdsOldData(_ disk: [UInt8]) -> Bool {
        let tableBytes = Self.tableBytes(shape)
        let data = Array(before[tableBytes..<before.count - (tableBytes - shape.blockBytes)])
        return isSame(unsafe data.span.bytes, disk, at: tableBytes)
    }

    enum Table: Equatable { case primary(guid: UInt8), backup(guid: UInt8) }

    /// The tables that a reader would believe, named by the first byte of their disk GUID: 0x11 the new one, 0x22 the old.
    func tables(_ disk: [UInt8]) -> [Table] {
        [
            CheckedTable(of: disk, isPrimary: true, blockBytes: shape.blockBytes).map { .primary(guid: $0.diskGUID[0]) },
            CheckedTable(of: disk, isPrimary: false, blockBytes: shape.blockBytes).map { .backup(guid: $0.diskGUID[0]) },
        ].compactMap { $0 }
    }
}
