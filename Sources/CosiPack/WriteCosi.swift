import CosiFormat
import Glibc
package import StreamDisk

/// Writes a COSI 1.2 image, whose partitions' images are of many frames and begin with a content index
/// (docs/CONTENT_INDEX.md). Blocks; reads only what the contents call data, and writes nothing but the output. Equal input
/// and options make equal bytes, whatever the number of threads.
///
/// - Parameters:
///   - options: within the ranges that `PackOptions` names.
///   - cancellation: calling `cancel` on it, from any thread, ends the call with `.cancelled`.
///   - onProgress: called on the calling thread, several times a second.
/// - Throws: why there is no image. Then no file of the output's name was made, and one that was there is untouched.
package func writeCosi(
    _ input: PackInput, to output: PackOutput, options: PackOptions = PackOptions(), cancellation: Cancellation = Cancellation(),
    onProgress: (PackProgress) -> Void = { _ in }
) throws(PackError) -> PackResult {
    let signals = BlockedSignals()
    defer { signals.restore() }
    let plan = try PackPlan.make(input, options)
    let file = try OutputFile(output)
    for partition in input.partitions where file.isTarget(partition.content.descriptor) { throw .notAFile(path: output.path) }
    return try withoutActuallyEscaping(onProgress) { onProgress throws(PackError) in
        let run = try PackRun(plan, file, path: output.path, options, onProgress)
        return try run.run(cancellation)
    }
}

/// The threads of one run, and what the calling thread does meanwhile: it writes.
private struct PackRun {
    private static let progressSeconds = 0.2

    private let plan: PackPlan
    private let file: OutputFile
    private let options: PackOptions
    private let onProgress: (PackProgress) -> Void
    private let queue: FrameQueue
    private let hasher: ImageHasher
    /// Never written, so that it takes no memory.
    private let zeros: DirectBuffer
    private let begin = Instant.now

    init(
        _ plan: PackPlan, _ file: OutputFile, path: String, _ options: PackOptions, _ onProgress: @escaping (PackProgress) -> Void
    ) throws(PackError) {
        (self.plan, self.file, self.options, self.onProgress) = (plan, file, options, onProgress)
        do throws(SystemError) {
            var slots: [FrameSlot] = []
            for _ in 0..<options.slotCount { slots.append(try FrameSlot(plan.cutter)) }
            queue = FrameQueue(slots)
            hasher = try ImageHasher(file.number, path: path)
            zeros = try DirectBuffer(sizeBytes: Int(FrameCutter.zeroBytesMax))
        } catch {
            throw .host(operation: "reserve memory", cause: error)
        }
    }

    func run(_ cancellation: Cancellation) throws(PackError) -> PackResult {
        var threads = ThreadList()
        defer {
            // When all is done, they have ended.
            stop()
            threads.joinAll()
        }
        do throws(SystemError) {
            try start(&threads)
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        let (queue, hasher) = (queue, hasher)
        return try cancellation.withHandler({
            queue.fail(.cancelled)
            hasher.stop()
        }) { () throws(PackError) in
            try write(cancellation)
        }
    }

    private func stop() {
        queue.fail(.cancelled)
        hasher.stop()
    }

    // MARK: The threads

    private func start(_ threads: inout ThreadList) throws(SystemError) {
        let (plan, options, queue, hasher, zeros) = (plan, options, queue, hasher, zeros)
        threads.append(try WorkerThread(name: "pack-hash") { hasher.run() })
        for _ in 0..<options.threadCount {
            threads.append(try WorkerThread(name: "pack-compress") { Self.compress(queue, options, zeros) })
        }
        threads.append(try WorkerThread(name: "pack-read") { Self.read(plan, queue) })
    }

    private static func compress(_ queue: FrameQueue, _ options: PackOptions, _ zeros: DirectBuffer) {
        do throws(PackError) {
            var compressor = try FrameCompressor(options, zeros: zeros)
            while let slot = queue.takeRead() {
                try compressor.compress(slot)
                queue.addCompressed(slot)
            }
        } catch {
            queue.fail(error)
        }
    }

    private static func read(_ plan: PackPlan, _ queue: FrameQueue) {
        do throws(SystemError) {
            var reader = try FrameReader(queue, plan.cutter)
            for (index, image) in plan.images.enumerated() {
                let partition = image.partition
                do throws(FrameQueue.Stopped) {
                    try reader.read(partition.content, runs: image.runs, path: partition.sourcePath, image: index)
                } catch {
                    return
                }
            }
            queue.endReading()
        } catch {
            queue.fail(.host(operation: "reserve memory", cause: error))
        }
    }

    // MARK: The caller's thread

    private func write(_ cancellation: Cancellation) throws(PackError) -> PackResult {
        var compressor = try FrameCompressor(options, zeros: zeros)
        let table = try compressor.compress(plan.input.table)
        var writer = try ImageFileWriter(plan, file, hasher, table: table)
        var deadline = Instant.after(seconds: Self.progressSeconds)
        writing: while true {
            switch try queue.takeCompressed(until: deadline) {
            case .frame(let slot):
                try writer.append(slot)
                queue.giveBack(slot)
            case .end: break writing
            case .none: break
            }
            if Instant.now >= deadline {
                report(.pack, writer.offset)
                deadline = Instant.after(seconds: Self.progressSeconds)
            }
        }
        try writer.endArchive()
        report(.finish, writer.offset)
        // Meanwhile the last image is hashed.
        try file.flush()
        var hashes: [[UInt8]]?
        while hashes == nil {
            hashes = try hasher.hashes(of: plan.images.count, until: .after(seconds: Self.progressSeconds))
            report(.finish, writer.offset)
        }
        let (metadata, sha384) = try writer.writeMetadata(hashes: hashes ?? [])
        if cancellation.isCancelled { throw .cancelled }
        try file.commit()
        return PackResult(
            metadataSHA384: sha384, metadata: metadata, fileBytes: writer.offset, readBytes: queue.readBytes,
            frameCount: writer.frameCount, elapsedSeconds: Instant.now.seconds(since: begin))
    }

    private func report(_ phase: PackProgress.Phase, _ writtenBytes: UInt64) {
        onProgress(
            PackProgress(
                phase: phase, elapsedSeconds: Instant.now.seconds(since: begin), readBytes: queue.readBytes,
                totalBytes: plan.dataBytes, writtenBytes: writtenBytes))
    }
}
