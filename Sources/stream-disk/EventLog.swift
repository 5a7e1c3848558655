import FoundationEssentials
import Glibc
import StreamDisk

/// `--events FD`: one JSON object a line, for programs.
///
/// `{"v":1,"t":<seconds since start>,"event":…}` and what belongs to the event. Calls return at once: a reader that is late or
/// goes away neither stops nor ends the run.
final class EventLog {
    /// Progress is told so often at most: three in a second, and with the last words of two phases five.
    private static let progressSeconds = 0.35

    private let writer: LineWriter
    private let begin = Instant.now
    private var estimate = ProgressEstimate()
    /// Progress that came too soon after another; told when a phase ends with it.
    private var heldProgress: StreamProgress?
    private var toldProgressAt: Instant?

    init(descriptor: Int32) {
        writer = LineWriter(descriptor: descriptor) { count, seconds in
            Self.line(
                "warning", ["message": .text("\(count) warnings and retries were not read in time and are left out")], seconds)
        }
    }

    /// Waits until everything was read.
    func end(until deadline: Instant) -> LineWriter.Outcome {
        defer { writer.end() }
        return writer.flush(until: deadline)
    }

    static func isWritable(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags >= 0 && flags & O_ACCMODE != O_RDONLY
    }

    /// The first line: which program does what, and when.
    ///
    /// - Parameters:
    ///   - verb: nil where the command line could not be read.
    ///   - options: what was asked for, without secrets.
    func writeStart(verb: String?, options: [String: JSONValue]) {
        emit(
            "start",
            [
                "version": .text(ProductVersion.current), "verb": .optional(verb), "options": .object(options),
                "time": .text(Date.now.formatted(.iso8601)),
            ])
    }

    func write(_ event: StreamEvent) {
        switch event {
        case .phase(let phase):
            tellHeldProgress()
            emit("phase", ["phase": .text(phase.rawValue)])
        case .warning(let text): emit("warning", ["message": .text(text)], .note)
        case .retry(let note):
            emit(
                "retry",
                [
                    "offset": .count(note.offset), "attempt": .count(UInt64(max(note.attempt, 0))),
                    "delaySeconds": .number(note.delaySeconds), "message": .text(note.reason),
                ], .note)
        case .progress(let progress):
            estimate.add(progress)
            if let told = toldProgressAt, Instant.now.seconds(since: told) < Self.progressSeconds {
                heldProgress = progress
            } else {
                tell(progress)
            }
        case .plan(let plan): emit("plan", planFields(plan))
        }
    }

    private func tell(_ progress: StreamProgress) {
        heldProgress = nil
        toldProgressAt = .now
        emit("progress", progressFields(progress), .progress)
    }

    private func tellHeldProgress() {
        if let heldProgress { tell(heldProgress) }
    }

    private func progressFields(_ progress: StreamProgress) -> [String: JSONValue] {
        // Of the last seconds, not of the whole run.
        func rate(_ rate: Double) -> JSONValue { .number(rate.rounded()) }
        return [
            "phase": .text(progress.phase.rawValue), "fetchedBytes": .count(progress.fetchedBytes),
            "decodedBytes": .count(progress.decodedBytes), "writtenBytes": .count(progress.writtenBytes),
            "zeroedBytes": .count(progress.zeroedBytes), "verifiedBytes": .count(progress.verifiedBytes),
            "bytesToVerify": .count(progress.verifiedBytesTotal),
            "compressedBytes": .count(progress.compressedBytesTotal), "imageBytes": .count(progress.uncompressedBytesTotal),
            "fetchedBytesPerSecond": rate(estimate.rates.fetched), "decodedBytesPerSecond": rate(estimate.rates.decoded),
            "writtenBytesPerSecond": rate(estimate.rates.written), "verifiedBytesPerSecond": rate(estimate.rates.verified),
            "etaSeconds": estimate.etaSeconds.map { .number(($0 * 10).rounded() / 10) } ?? .null,
            "partitionNumbers": .list(progress.partitions.map { .count(UInt64(max($0, 0))) }),
            "waitingBytes": .count(UInt64(max(progress.waitingBytes, 0))),
            "inFlightBytes": .count(UInt64(max(progress.bytesInFlight, 0))),
        ]
    }

    func write(completed result: StreamResult) {
        tellHeldProgress()
        let seconds = max(result.elapsedSeconds, 0.001)
        emit(
            "completed",
            [
                "seconds": .number(result.elapsedSeconds), "written": .flag(result.isWritten),
                "fetchedBytes": .count(result.fetchedBytes), "decodedBytes": .count(result.decodedBytes),
                "writtenBytes": .count(result.writtenBytes), "zeroedBytes": .count(result.zeroedBytes),
                "verifiedBytes": .count(result.verifiedBytes),
                "decodedBytesPerSecond": .number((Double(result.decodedBytes) / seconds).rounded()),
                "peakMemoryBytes": .count(result.peakMemoryBytes),
                "disk": .text(result.plan.diskPath), "hash": .text("sha384:" + hexadecimal(result.plan.metadataSHA384)),
                "hashCompared": .flag(result.plan.isHashCompared), "stages": .list(result.stages.map(stageFields)),
            ])
    }

    func write(_ error: StreamError, code: Int32, message: String) {
        tellHeldProgress()
        var fields: [String: JSONValue] = [
            "code": .count(UInt64(code)), "kind": .text(error.cause.kind), "message": .text(message),
            "phase": .text(error.phase.rawValue), "diskState": .text(error.disk.rawValue),
        ]
        if let offset = error.cause.offset { fields["offset"] = .count(offset) }
        if case .mismatch(let mismatch) = error.cause { fields.merge(mismatch.fields) { _, new in new } }
        emit("error", fields)
    }

    /// A run that never began.
    func write(usage message: String, code: Int32) {
        emit(
            "error",
            [
                "code": .count(UInt64(code)), "kind": .text("usage"), "message": .text(message),
                "phase": .text(StreamPhase.preflight.rawValue), "diskState": .text(StreamError.DiskState.untouched.rawValue),
            ])
    }

    private func stageFields(_ stage: StageReport) -> JSONValue {
        .object([
            "stage": .text(stage.stage.rawValue), "bytes": .count(stage.bytes),
            "busySeconds": .number(stage.busySeconds), "cpuSeconds": .number(stage.cpuSeconds),
            "waitingForInputSeconds": .number(stage.waitingForInputSeconds),
            "waitingForOutputSeconds": .number(stage.waitingForOutputSeconds),
        ])
    }

    private func planFields(_ plan: StreamPlan) -> [String: JSONValue] {
        [
            "image": .text(plan.imageName), "hash": .text("sha384:" + hexadecimal(plan.metadataSHA384)),
            "hashCompared": .flag(plan.isHashCompared), "diskSizeBytes": .count(plan.imageDiskBytes),
            "imageBytes": .count(plan.uncompressedBytes), "compressedBytes": .count(plan.compressedBytes),
            "disk": .text(plan.diskPath), "target": .object(plan.targetFields), "engine": .text(plan.engineName),
            "candidates": .list(
                plan.consideredDisks.map { candidate in
                    .object([
                        "path": .text(candidate.disk.path), "chosen": .flag(plan.isChosen(candidate)),
                        "reasons": .list(plan.reasons(against: candidate).map(\.value)),
                    ])
                }),
            "partitions": .list(
                plan.partitions.map { partition in
                    .object([
                        "number": .count(UInt64(partition.number)), "name": .text(partition.name),
                        "offsetBytes": .count(partition.offsetBytes), "sizeBytes": .count(partition.sizeBytes),
                        "imagePath": .optional(partition.imagePath), "imageBytes": .count(partition.uncompressedBytes),
                        "compressedBytes": .count(partition.compressedBytes), "fsType": .optional(partition.fsType),
                        "mountPoint": .optional(partition.mountPoint),
                    ])
                }),
        ]
    }

    private func emit(_ event: String, _ fields: [String: JSONValue], _ kind: LineWriter.Kind = .vital) {
        let seconds = Instant.now.seconds(since: begin)
        writer.send(Self.line(event, fields, seconds), kind, seconds: seconds)
    }

    private static func line(_ event: String, _ fields: [String: JSONValue], _ seconds: Double) -> String {
        var all = fields
        all["v"] = .count(1)
        all["t"] = .number((seconds * 1e6).rounded() / 1e6)
        all["event"] = .text(event)
        return JSONValue.object(all).line
    }
}

extension DiskMismatch {
    /// The place: area, partition, byte of the disk, and length.
    var fields: [String: JSONValue] {
        var fields: [String: JSONValue] = ["offset": .count(offset), "lengthBytes": .count(UInt64(lengthBytes))]
        switch area {
        case .mbr: fields["area"] = .text("mbr")
        case .primaryTable: fields["area"] = .text("primaryTable")
        case .backupTable: fields["area"] = .text("backupTable")
        case .partition(let number, let name):
            fields["area"] = .text("partition")
            fields["partition"] = .object(["number": .count(UInt64(number)), "name": .text(name)])
        case nil: break
        }
        return fields
    }
}
