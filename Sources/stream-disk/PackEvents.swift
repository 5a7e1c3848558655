import CosiPack
import StreamDisk

// What a run of 'pack' tells of itself, for a person and for a program.

extension EventLog {
    func write(packing event: PackEvent) {
        switch event {
        case .phase(let phase): write(StreamEvent.phase(phase))
        // A program learns of it by the time that passes.
        case .note: break
        case .warning(let text): write("warning", ["message": .text(text)], .note)
        case .plan(let contents): write("plan", contents.fields)
        case .progress(let progress): write(progress: progress.asStream) { progress.fields($0) }
        }
    }

    func write(completed packed: PackedImage) { write("completed", packed.fields) }

    func write(_ fault: PackFault, phase: StreamPhase, code: Int32, message: String) {
        var fields: [String: JSONValue] = [
            "code": .count(UInt64(max(code, 0))), "kind": .text(fault.kind), "message": .text(message),
            "phase": .text(phase.rawValue),
            "diskState": .text(StreamError.DiskState.onlyRead.rawValue),
        ]
        if let offset = fault.offset { fields["offset"] = .count(offset) }
        write("error", fields)
    }
}

extension ProgressDisplay {
    func show(_ event: PackEvent) {
        switch event {
        case .note(let text): note(text)
        case .warning(let text): warning(text)
        case .progress(let progress): show(progress.asStream)
        case .phase, .plan: break
        }
    }
}

extension PackProgress {
    var asStream: StreamProgress {
        StreamProgress(
            readBytes: readBytes, totalBytes: totalBytes, writtenBytes: writtenBytes, elapsedSeconds: elapsedSeconds)
    }
}

extension PackFault {
    var isCancelled: Bool { if case .image(.cancelled) = self { true } else { false } }

    /// The message, with the names of options.
    func sentence(cancelledAs words: String) -> String {
        let text = message(cancelled: words)
        switch self {
        case .image(.exists): return text + " with --force"
        case .disk(.blockSize, _, _): return text + " (--block-size)"
        case .request where text.hasSuffix("x86_64 or arm64"): return text + " (--os-arch)"
        default: return text
        }
    }
}
