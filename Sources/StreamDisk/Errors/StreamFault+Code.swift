import CosiFormat
import Glibc

// A fault for programs: a word, a number, a position. docs/EVENTS.md lists the words.

extension StreamFault {
    /// A stable word, such as `image.hash`, `source.unreachable` or `disk.inUse`.
    ///
    /// What stands before the point says which part failed. Later releases add words, and change none.
    public var kind: String {
        switch self {
        case .image(let error): "image.\(error.code.rawValue)"
        case .architecture: "architecture"
        case .source(let error): "source.\(error.kind.rawValue)"
        case .device: "device"
        case .mismatch: "device.mismatch"
        case .disk(let error): "disk.\(error.kind.rawValue)"
        case .partition(let error): "partition.\(error.kind.rawValue)"
        case .memory: "memory"
        case .cancelled: "cancelled"
        case .host: "host"
        }
    }

    /// The exit code of the command line: 65 for an invalid image, 78 for a disk that cannot be used …, after sysexits.h.
    public var code: Int32 {
        switch self {
        case .image, .architecture: ExitCodes.invalidImage
        // With stream, the disk failed; with verify, the same is found: it does not hold what it should.
        case .device, .mismatch: ExitCodes.deviceFailed
        case .memory: ExitCodes.unusableDisk
        case .cancelled: ExitCodes.interrupted
        // A sandbox that refuses what was asked for, such as io_uring by name, is no bug.
        case .host(_, let cause) where [EPERM, EACCES, ENOSYS, EOPNOTSUPP].contains(cause.code): ExitCodes.notPermitted
        // No memory or no thread: as with `.memory`.
        case .host(_, let cause) where [ENOMEM, EAGAIN].contains(cause.code): ExitCodes.unusableDisk
        case .host: ExitCodes.software
        case .disk(let error): error.code
        case .partition(let error): error.code
        case .source(let error): error.code
        }
    }

    /// The byte of the image or of the disk at which it happened; nil where there is none.
    public var offset: UInt64? {
        switch self {
        case .source(let error): error.offset
        case .device(let error): error.offset
        case .mismatch(let mismatch): mismatch.offset
        case .image, .architecture, .disk, .partition, .memory, .cancelled, .host: nil
        }
    }
}

extension DiskSelectionError {
    fileprivate var code: Int32 {
        switch kind {
        case .busy: ExitCodes.busy
        case .notPermitted: ExitCodes.notPermitted
        case .inUse, .useUnknown, .tooSmall, .blockSize, .readOnly, .notFound, .noMedium, .notADisk, .isSource, .changed,
            .alignment, .partitioned, .cannotOpen, .noneFits:
            ExitCodes.unusableDisk
        }
    }
}

extension PartitionError {
    fileprivate var code: Int32 {
        switch kind {
        case .notFound, .noImage: ExitCodes.noImage
        case .ambiguous, .repeated: ExitCodes.usage
        }
    }
}

extension SourceError {
    fileprivate var code: Int32 {
        switch kind {
        case .notFound: ExitCodes.noImage
        case .unreachable: ExitCodes.unreachable
        case .notPermitted: ExitCodes.notPermitted
        case .unsupported: ExitCodes.unsupportedServer
        case .changed, .digest, .manifest: ExitCodes.invalidImage
        case .invalidReference, .unusableFile: ExitCodes.usage
        case .stopped: ExitCodes.interrupted
        }
    }
}
