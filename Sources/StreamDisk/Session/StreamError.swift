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
        /// It was to be compared, and is what it was.
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
