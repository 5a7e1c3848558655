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
        /// Unknown: the disk failed while its table was being removed or written. In a run onto regions, from the first write to
        /// the end: a mix of old and new bytes.
        case uncertain
        /// It has the complete image and its table. The failure came after that.
        case written
    }
}

/// The phases of a run, in order.
public enum StreamPhase: String, Sendable, CaseIterable {
    case preflight, invalidate, write, verify, commit, done

    /// What happens in it, as text for users.
    public var title: String {
        switch self {
        case .preflight: "reading and checking the image's metadata"
        case .invalidate: "removing the old partition table"
        case .write: "writing"
        case .verify: "reading the disk and comparing"
        case .commit: "writing the partition table"
        case .done: "done"
        }
    }
}
