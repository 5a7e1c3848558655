public import CosiFormat

/// What went wrong.
public enum StreamFault: Error, Sendable {
    /// The image is invalid, corrupt or not the one asked for.
    case image(FormatError)
    /// The image is for another machine than this host, whose disk would have been chosen automatically.
    case architecture(image: CosiMetadata.Architecture, host: CosiMetadata.Architecture?)
    /// The source could not deliver.
    case source(SourceError)
    /// The disk failed.
    case device(DiskIOError)
    /// The disk answers, but holds other bytes than it should.
    case mismatch(DiskMismatch)
    /// No disk, or not this one.
    case disk(DiskSelectionError)
    /// No partition of the image, or not one.
    case partition(PartitionError)
    /// The image needs more memory than the run may have.
    case memory(neededBytes: UInt64, limit: MemoryLimit)
    /// The run was cancelled.
    case cancelled
    /// The host refused something every run needs (a thread, memory).
    case host(operation: String, cause: SystemError)
}

extension StreamFault {
    static func image(_ code: FormatError.Code, _ place: String, _ problem: String) -> StreamFault {
        .image(FormatError(code, place: place, problem: problem))
    }

    /// What a source said, unless it only passes on that the run was stopped.
    init(_ error: SourceError) { self = error.kind == .stopped ? .cancelled : .source(error) }
}

extension DirectBuffer {
    /// A buffer, or the failure of the run that needs it.
    static func reserved(sizeBytes: Int) throws(StreamFault) -> DirectBuffer {
        do throws(SystemError) {
            return try DirectBuffer(sizeBytes: sizeBytes)
        } catch {
            throw .host(operation: "reserve \(sizeText(UInt64(sizeBytes))) of memory", cause: error)
        }
    }
}

extension MemoryLimits {
    /// Throws `.memory`, with the tightest limit, where `need` does not fit into all of them.
    func expectRoom(for need: MemoryNeed) throws(StreamFault) {
        if let limit = exceeded(by: need) { throw .memory(neededBytes: need.bytes(under: limit), limit: limit) }
    }
}
