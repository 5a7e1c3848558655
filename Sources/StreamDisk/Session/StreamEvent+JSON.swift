// The fields of events (docs/EVENTS.md). `EventLines` adds the version, the time and the event's name.

extension StreamEvent {
    /// The value of the key `event`.
    package var name: String {
        switch self {
        case .plan: "plan"
        case .phase: "phase"
        case .progress: "progress"
        case .retry: "retry"
        case .warning: "warning"
        }
    }

    /// - Parameter estimate: has received all progress up to this event.
    package func fields(_ estimate: ProgressEstimate, _ wording: Wording = Wording()) -> [String: JSONValue] {
        switch self {
        case .plan(let plan): plan.fields
        case .phase(let phase): ["phase": .text(phase.rawValue)]
        case .progress(let progress): progress.fields(estimate)
        case .retry(let note): note.fields
        case .warning(let warning): ["message": .text(warning.message(wording))]
        }
    }
}

extension SourceNote {
    fileprivate var fields: [String: JSONValue] {
        [
            "offset": .count(offset), "attempt": .count(UInt64(max(attempt, 0))), "delaySeconds": .number(delaySeconds),
            "message": .text(reason),
        ]
    }
}

extension StreamProgress {
    fileprivate func fields(_ estimate: ProgressEstimate) -> [String: JSONValue] {
        // The rate of the last seconds, not of the whole transfer. Unknown in the first second.
        func rate(_ rate: Double) -> JSONValue { estimate.isSettled ? .number(rate.rounded()) : .null }
        return [
            "phase": .text(phase.rawValue), "fetchedBytes": .count(fetchedBytes), "decodedBytes": .count(decodedBytes),
            "writtenBytes": .count(writtenBytes), "zeroedBytes": .count(zeroedBytes), "reusedBytes": .count(reusedBytes),
            "verifiedBytes": .count(verifiedBytes), "bytesToVerify": .count(verifiedBytesTotal),
            "compressedBytes": .count(compressedBytesTotal),
            "imageBytes": .count(decodedBytesTotal), "fetchedBytesPerSecond": rate(estimate.rates.fetched),
            "decodedBytesPerSecond": rate(estimate.rates.decoded), "writtenBytesPerSecond": rate(estimate.rates.written),
            "verifiedBytesPerSecond": rate(estimate.rates.verified),
            "etaSeconds": estimate.etaSeconds.map { .number(($0 * 10).rounded() / 10) } ?? .null,
            "partitionNumbers": .list(partitions.map { .count(UInt64(max($0, 0))) }),
            "waitingBytes": .count(UInt64(max(waitingBytes, 0))), "inFlightBytes": .count(UInt64(max(bytesInFlight, 0))),
        ]
    }
}

extension StreamResult {
    /// The fields of the `completed` event.
    package var fields: [String: JSONValue] {
        [
            "seconds": .number(elapsedSeconds), "written": .flag(isWritten), "fetchedBytes": .count(fetchedBytes),
            "decodedBytes": .count(decodedBytes), "writtenBytes": .count(writtenBytes), "zeroedBytes": .count(zeroedBytes),
            "reusedBytes": .count(reusedBytes), "verifiedBytes": .count(verifiedBytes),
            "decodedBytesPerSecond": .number((Double(decodedBytes) / max(elapsedSeconds, 0.001)).rounded()),
            "peakMemoryBytes": .count(peakMemoryBytes), "disk": plan.diskJSON, "hash": .text(plan.hashText),
            "hashCompared": .flag(isHashCompared), "stages": .list(stages.map(\.json)),
        ]
    }
}

extension ImageContents {
    /// The fields of the `completed` event of an inspection: nothing of a partition's data was fetched.
    func fields(completedAfter seconds: Double, isHashCompared: Bool) -> [String: JSONValue] {
        [
            "seconds": .number(seconds), "written": .flag(false), "fetchedBytes": .count(0), "decodedBytes": .count(0),
            "writtenBytes": .count(0), "zeroedBytes": .count(0), "reusedBytes": .count(0), "verifiedBytes": .count(0),
            "decodedBytesPerSecond": .number(0),
            "peakMemoryBytes": .count(peakMemoryBytes()), "disk": .null, "hash": .text(hashText),
            "hashCompared": .flag(isHashCompared), "stages": .list([]),
        ]
    }
}

extension StageReport {
    fileprivate var json: JSONValue {
        .object([
            "stage": .text(stage.rawValue), "bytes": .count(bytes), "busySeconds": .number(busySeconds),
            "cpuSeconds": .number(cpuSeconds), "waitingForInputSeconds": .number(waitingForInputSeconds),
            "waitingForOutputSeconds": .number(waitingForOutputSeconds),
        ])
    }
}

extension StreamError {
    /// The fields of the `error` event.
    ///
    /// - Parameters:
    ///   - code: the exit code, if it differs from this error's.
    ///   - message: the message, if it differs from this error's.
    package func fields(code: Int32? = nil, message: String? = nil) -> [String: JSONValue] {
        var fields: [String: JSONValue] = [
            "code": .count(UInt64(max(code ?? self.code, 0))), "kind": .text(kind), "message": .text(message ?? description),
            "phase": .text(phase.rawValue), "diskState": .text(disk.rawValue),
        ]
        if let offset { fields["offset"] = .count(offset) }
        if case .mismatch(let mismatch) = cause { fields.merge(mismatch.fields) { _, new in new } }
        return fields
    }
}

extension DiskMismatch {
    /// Where the difference is: area, partition, byte offset on the disk, and length.
    package var fields: [String: JSONValue] {
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
