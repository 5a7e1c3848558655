/// Why a run ended without success, and what that means for the disk.
public struct StreamError: Error, Sendable {
    /// What went wrong.
    public let cause: StreamFault
    /// The step in which it did.
    public let phase: StreamPhase
    /// What the disk holds now.
    public let disk: DiskState

    package init(cause: StreamFault, phase: StreamPhase, disk: DiskState) {
        self.cause = cause
        self.phase = phase
        self.disk = disk
    }

    /// As ``StreamFault/kind``.
    public var kind: String { cause.kind }
    /// As ``StreamFault/code``.
    public var code: Int32 { cause.code }
    /// As ``StreamFault/offset``.
    public var offset: UInt64? { cause.offset }

    /// What the disk holds after the failure.
    public enum DiskState: String, Sendable {
        /// Not one byte was written.
        case untouched
        /// It was to be compared, or not looked at at all, and is what it was.
        case onlyRead
        /// It carries no partition table; some of the new data may be there.
        case withoutTable
        /// Not known: the disk failed while its table was being removed or written.
        case uncertain
        /// It carries the whole image and its table; what failed came after.
        case written
    }
}

/// The steps of a run, in order.
public enum StreamPhase: String, Sendable, CaseIterable {
    case preflight, invalidate, write, verify, commit, done
}
