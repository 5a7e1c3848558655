import CosiFormat
import Glibc

// The representation of a fault for programs: kind, exit code, offset. docs/EVENTS.md lists the kinds.

extension StreamFault {
    /// A stable identifier, such as `image.hash`, `source.unreachable` or `disk.inUse`.
    ///
    /// The part before the point names the component. Later releases may add identifiers but never change one.
    package var kind: String {
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

    /// The exit code of the command line, based on sysexits.h: 65 for an invalid image, 78 for an unusable disk …
    package var code: Int32 {
        switch self {
        case .image, .architecture: ExitCodes.invalidImage
        // In `stream`, the disk failed. In `verify`, it has the wrong contents.
        case .device, .mismatch: ExitCodes.deviceFailed
        case .memory: ExitCodes.unusableDisk
        case .cancelled: ExitCodes.interrupted
        // The kernel or a sandbox refused a feature that was asked for by name, such as io_uring. That is not a bug.
        case .host(_, let cause) where [EPERM, EACCES, ENOSYS, EOPNOTSUPP].contains(cause.code): ExitCodes.notPermitted
        // No memory or no thread: the same as `.memory`.
        case .host(_, let cause) where [ENOMEM, EAGAIN].contains(cause.code): ExitCodes.unusableDisk
        case .host: ExitCodes.software
        case .disk(let error): error.code
        case .partition(let error): error.code
        case .source(let error): error.code
        }
    }

    /// The byte of the image or disk where it happened; nil if there is none.
    package var offset: UInt64? {
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
            .alignment, .partitioned, .cannotOpen, .noneFits, .noneMatches:
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
