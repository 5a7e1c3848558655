/// Why a run failed, and what that means for the disk.
public struct StreamError: Error, Sendable {
    /// What went wrong.
    public let cause: StreamFault
    /// The phase in which it failed.
    public let phase: StreamPhase
    /// What the disk holds now.
    public let disk: DiskState

    package init(cause: StreamFault, phase: StreamPhase, disk: DiskState) {
        self.cause = cause
        self.phase = phase
        self.disk = disk
    }

    /// See ``StreamFault/kind``.
    public var kind: String { cause.kind }
    /// See ``StreamFault/code``.
    public var code: Int32 { cause.code }
    /// See ``StreamFault/offset``.
    public var offset: UInt64? { cause.offset }

    /// What the disk holds after the failure.
    public enum DiskState: String, Sendable {
        /// Nothing was written.
        case untouched
        /// The run only reads the disk, or uses none.
        case onlyRead
        /// It has no partition table. Some of the new data may be there.
        case withoutTable
        /// Unknown: the disk failed while its table was being removed or written. Of a run onto regions: old and new bytes, from
        /// the first write to the end.
        case uncertain
        /// It has the complete image and its table. The failure came after that.
        case written
    }
}

/// The phases of a run, in order.
public enum StreamPhase: String, Sendable, CaseIterable {
    case preflight, invalidate, write, verify, commit, done
}
