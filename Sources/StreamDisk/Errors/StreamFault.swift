public import CosiFormat

/// What went wrong.
public enum StreamFault: Error, Sendable {
    /// The image is invalid, corrupt, or not the one that was requested.
    case image(FormatError)
    /// The image is for another architecture than this host, and the disk would have been selected automatically.
    case architecture(image: CosiMetadata.Architecture, host: CosiMetadata.Architecture?)
    /// The source could not deliver.
    case source(SourceError)
    /// The disk failed.
    case device(DiskIOError)
    /// The disk works, but its contents are wrong.
    case mismatch(DiskMismatch)
    /// No disk fits, or the target cannot be used.
    case disk(DiskSelectionError)
    /// No partition of the image, or not one.
    case partition(PartitionError)
    /// The image needs more memory than the run may have.
    case memory(neededBytes: UInt64, limit: MemoryLimit)
    /// The run was cancelled.
    case cancelled
    /// The host refused a resource that every run needs (a thread, memory).
    case host(operation: String, cause: SystemError)
}

extension StreamFault {
    static func image(_ code: FormatError.Code, _ place: String, _ problem: String) -> StreamFault {
        .image(FormatError(code, place: place, problem: problem))
    }

    /// The source's error; `.cancelled` if it only reports that the run was stopped.
    init(_ error: SourceError) { self = error.kind == .stopped ? .cancelled : .source(error) }
}

extension DirectBuffer {
    /// Returns a buffer, or throws the fault of the run that needs it.
    static func reserved(sizeBytes: Int) throws(StreamFault) -> DirectBuffer {
        do throws(SystemError) {
            return try DirectBuffer(sizeBytes: sizeBytes)
        } catch {
            throw .host(operation: "reserve \(sizeText(UInt64(sizeBytes))) of memory", cause: error)
        }
    }
}

extension MemoryLimits {
    /// Throws `.memory` with the tightest limit if `need` exceeds any limit.
    func expectRoom(for need: MemoryNeed) throws(StreamFault) {
        if let limit = exceeded(by: need) { throw .memory(neededBytes: need.bytes(under: limit), limit: limit) }
    }
}
