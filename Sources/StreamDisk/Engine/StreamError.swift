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
        /// It was to be compared, and is what it was.
        case onlyRead
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
    /// The disk answers, but holds other bytes than it should.
    case mismatch(DiskMismatch)
    /// No disk, or not this one.
    case disk(DiskError)
    /// The image needs more memory than the run may have.
    case memory(neededBytes: UInt64, limit: MemoryLimit)
    /// The run was cancelled.
    case cancelled
    /// The host refused something every run needs (a thread, memory).
    case host(operation: String, cause: SystemError)
}

/// A disk that reads, but not what it should hold: other bytes than were written onto it, or than the image has.
public struct DiskMismatch: Error, Sendable, Equatable {
    /// What the disk was compared with.
    public enum Expectation: String, Sendable { case written, image }

    /// The part of the disk that the first difference is in.
    public enum Area: Sendable, Equatable, CustomStringConvertible {
        case mbr, primaryTable, backupTable
        /// GPT entry number, from 1, and name.
        case partition(number: Int, name: String)

        public var description: String {
            switch self {
            case .mbr: "LBA 0"
            case .primaryTable: "the primary partition table"
            case .backupTable: "the backup partition table"
            case .partition(let number, let name): "partition \(number) '\(name)'"
            }
        }
    }

    public let expectation: Expectation
    public let path: String
    public let area: Area?
    /// Bytes of the disk: where the image is at hand, from the first that differs to the last of the same piece; else the whole
    /// piece (1 MiB at most) whose checksum is wrong.
    public let offset: UInt64
    public let lengthBytes: Int
    /// How many pieces differ, where all of the disk was compared.
    public let count: Int

    init(_ expectation: Expectation, path: String, area: Area?, range: Range<UInt64>, count: Int = 1) {
        self.expectation = expectation
        self.path = path
        self.area = area
        offset = range.lowerBound
        lengthBytes = range.count
        self.count = count
    }

    /// The same, with the partition of the plan that it is in.
    func located(in plan: StreamPlan) -> DiskMismatch {
        let partition = plan.partitions.first { offset >= $0.offsetBytes && offset - $0.offsetBytes < $0.sizeBytes }
        guard area == nil, let partition else { return self }
        return DiskMismatch(
            expectation, path: path, area: .partition(number: partition.number, name: partition.name),
            range: offset..<offset + UInt64(lengthBytes), count: count)
    }
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
    static func reserved(sizeBytes: Int) throws(StreamFault) -> DirectBuffer {
        do throws(SystemError) {
            return try DirectBuffer(sizeBytes: sizeBytes)
        } catch {
            throw .host(operation: "reserve \(sizeText(UInt64(sizeBytes))) of memory", cause: error)
        }
    }
}
