public import CosiFormat

/// Why a run ended without success, and what that means for the disk.
public struct StreamError: Error, Sendable {
    public let cause: StreamFault
    public let phase: StreamPhase
    public let disk: DiskState

    public init(cause: StreamFault, phase: StreamPhase, disk: DiskState) {
        self.cause = cause
        self.phase = phase
        self.disk = disk
    }

    /// What the disk holds after the failure.
    public enum DiskState: String, Sendable {
        /// Not one byte was written.
        case untouched
        /// It carries no partition table; some of the new data may be there.
        case withoutTable
        /// Not known: the disk failed while its table was being removed or written.
        case uncertain
    }
}

/// The steps of a run, in order.
public enum StreamPhase: String, Sendable, CaseIterable {
    case preflight, invalidate, write, verify, commit, done
}

/// What went wrong.
public enum StreamFault: Error, Sendable {
    /// The image is invalid, corrupt or not the one asked for.
    case image(FormatError)
    /// The source could not deliver.
    case source(SourceError)
    /// The disk failed.
    case device(DeviceError)
    /// No disk, or not this one.
    case disk(DiskError)
    /// Decoding needs more memory than it may have.
    case memory(neededBytes: UInt64, limitBytes: UInt64)
    /// The run was cancelled.
    case cancelled
    /// The host refused something every run needs (a thread, memory).
    case host(operation: String, cause: SystemError)
}

extension StreamFault {
    static func image(_ place: String, _ problem: String) -> StreamFault {
        .image(FormatError(place: place, problem: problem))
    }

    /// What a source said, unless it only passes on that the run was stopped.
    init(_ error: SourceError) { self = error.kind == .stopped ? .cancelled : .source(error) }
}

extension DirectBuffer {
    /// A buffer, or the failure of the run that needs it.
    static func reserved(sizeBytes: Int, usedBytes: Int? = nil) throws(StreamFault) -> DirectBuffer {
        do throws(SystemError) {
            return try DirectBuffer(sizeBytes: sizeBytes, usedBytes: usedBytes)
        } catch {
            throw .host(operation: "reserve \(sizeText(UInt64(sizeBytes))) of memory", cause: error)
        }
    }
}
