import FoundationEssentials
import Glibc
import StreamDisk

/// `--events FD`: one JSON object a line, for programs.
///
/// `{"v":1,"t":<seconds since start>,"event":…}` and what belongs to the event. A reader that goes away does not end the run.
final class EventLog {
    private let descriptor: Int32
    private let begin = monotonicSeconds()

    init(descriptor: Int32) { self.descriptor = descriptor }

    static func isWritable(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags >= 0 && flags & O_ACCMODE != O_RDONLY
    }

    func write(_ event: StreamEvent) {
        switch event {
        case .phase(let phase): emit("phase", ["phase": .text(phase.rawValue)])
        case .warning(let text): emit("warning", ["message": .text(text)])
        case .retry(let note):
            emit(
                "retry",
                [
                    "offset": .count(note.offset), "attempt": .count(UInt64(max(note.attempt, 0))),
                    "delaySeconds": .number(note.delaySeconds), "message": .text(note.reason),
                ])
        case .progress(let progress):
            let seconds = max(progress.elapsedSeconds, 0.001)
            func rate(_ bytes: UInt64) -> JSONValue { .number((Double(bytes) / seconds).rounded()) }
            emit(
                "progress",
                [
                    "phase": .text(progress.phase.rawValue), "fetchedBytes": .count(progress.fetchedBytes),
                    "decodedBytes": .count(progress.decodedBytes), "writtenBytes": .count(progress.writtenBytes),
                    "zeroedBytes": .count(progress.zeroedBytes), "verifiedBytes": .count(progress.verifiedBytes),
                    "verifiedBytesTotal": .count(progress.verifiedBytesTotal),
                    "compressedBytesTotal": .count(progress.compressedBytesTotal),
                    "uncompressedBytesTotal": .count(progress.uncompressedBytesTotal),
                    "fetchedBytesPerSecond": rate(progress.fetchedBytes),
                    "decodedBytesPerSecond": rate(progress.decodedBytes),
                    "writtenBytesPerSecond": rate(progress.writtenBytes),
                    "waitingBytes": .count(UInt64(max(progress.waitingBytes, 0))),
                    "bytesInFlight": .count(UInt64(max(progress.bytesInFlight, 0))),
                ])
        case .plan(let plan): emit("plan", planFields(plan))
        }
    }

    func write(completed result: StreamResult) {
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
                "hash": .text("sha384:" + hexadecimal(result.plan.metadataSHA384)),
                "stages": .list(result.stages.map(stageFields)),
            ])
    }

    func write(_ error: StreamError, code: Int32) {
        var fields: [String: JSONValue] = [
            "code": .count(UInt64(code)), "kind": .text(error.cause.kind), "message": .text(error.description),
            "phase": .text(error.phase.rawValue), "disk": .text(error.disk.rawValue),
        ]
        if let offset = error.cause.offset { fields["offset"] = .count(offset) }
        if case .mismatch(let mismatch) = error.cause { fields.merge(mismatch.fields) { _, new in new } }
        emit("error", fields)
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
            "disk": .text(plan.diskPath), "diskBytes": .count(plan.diskBytes),
            "blockBytes": .count(UInt64(plan.blockBytes)), "engine": .text(plan.engineName),
            "bytes": .count(plan.uncompressedBytes), "compressedBytes": .count(plan.compressedBytes),
            "partitions": .list(
                plan.partitions.map { partition in
                    .object([
                        "number": .count(UInt64(partition.number)), "name": .text(partition.name),
                        "offset": .count(partition.offsetBytes), "sizeBytes": .count(partition.sizeBytes),
                        "image": partition.imagePath.map { .text($0) } ?? .null,
                        "bytes": .count(partition.uncompressedBytes),
                    ])
                }),
        ]
    }

    private func emit(_ event: String, _ fields: [String: JSONValue]) {
        var all = fields
        all["v"] = .count(1)
        all["t"] = .number(((monotonicSeconds() - begin) * 1e6).rounded() / 1e6)
        all["event"] = .text(event)
        Terminal.writeAll(JSONValue.object(all).line, to: descriptor)
    }
}

extension DiskMismatch {
    /// The place: area, and for a partition its number and name, byte of the disk, and length.
    var fields: [String: JSONValue] {
        var fields: [String: JSONValue] = ["offset": .count(offset), "lengthBytes": .count(UInt64(lengthBytes))]
        switch area {
        case .mbr: fields["area"] = .text("mbr")
        case .primaryTable: fields["area"] = .text("primaryTable")
        case .backupTable: fields["area"] = .text("backupTable")
        case .partition(let number, let name):
            fields["area"] = .text("partition")
            fields["partition"] = .count(UInt64(number))
            fields["name"] = .text(name)
        case nil: break
        }
        return fields
    }
}

private func monotonicSeconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
