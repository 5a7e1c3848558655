package import CosiFormat
import Glibc
package import StreamDisk

/// Why no image was made. Nothing of the output's name was left behind, and what had this name before is still there.
package enum PackError: Error, Sendable {
    /// The source, or a copy of it, cannot be read.
    case read(path: String, offset: UInt64, lengthBytes: UInt64, cause: SystemError)
    /// The source ends before the partition does.
    case truncated(path: String, offset: UInt64)
    /// The output cannot be made, or is full.
    case write(path: String, operation: String, cause: SystemError)
    /// There is a file of this name, and it may not be replaced.
    case exists(path: String)
    /// What has this name is no regular file, or is what the image is made from.
    case notAFile(path: String)
    /// The disk, or what was said of it, makes no valid image.
    case invalid(FormatError)
    /// The host refused memory or a thread.
    case host(operation: String, cause: SystemError)
    case cancelled

    /// Stable, for programs.
    package var kind: String {
        switch self {
        case .read, .truncated: "source.read"
        case .write: "output"
        case .exists: "output.exists"
        case .notAFile: "output.notAFile"
        case .invalid(let error): "image.\(error.code.rawValue)"
        case .host: "host"
        case .cancelled: "cancelled"
        }
    }

    /// The exit code, as in ``StreamError/code``.
    package var code: Int32 {
        switch self {
        case .write(_, _, let cause) where cause.isRefusal: ExitCodes.notPermitted
        case .read, .truncated, .write: ExitCodes.deviceFailed
        case .exists, .notAFile: ExitCodes.usage
        case .invalid: ExitCodes.invalidImage
        case .host: ExitCodes.unusableDisk
        case .cancelled: ExitCodes.interrupted
        }
    }

    /// The byte of the source where it happened.
    package var offset: UInt64? {
        switch self {
        case .read(_, let offset, _, _), .truncated(_, let offset): offset
        case .write, .exists, .notAFile, .invalid, .host, .cancelled: nil
        }
    }

    /// One sentence: what, where, why, what to do.
    ///
    /// - Parameter cancelled: what to say when the run was cancelled.
    package func message(cancelled: String = "interrupted") -> String {
        switch self {
        case .read(let path, let offset, let length, let cause):
            "cannot read \(path): \(length) bytes at byte \(offset): \(cause)"
        case .truncated(let path, let offset):
            "cannot read \(path): it ends at byte \(offset), inside a partition"
        case .write(let path, let operation, let cause): "cannot \(operation) \(path): \(cause)"
        case .exists(let path): "\(path) exists; name another file, or ask to replace it"
        case .notAFile(let path): "\(path) is no regular file, or is what is to be packed; name another file"
        case .invalid(let error): "this makes no valid image: \(error.place): \(error.problem)"
        case .host(let operation, let cause): "cannot \(operation): \(cause)"
        case .cancelled: cancelled
        }
    }
}

extension SystemError {
    fileprivate var isRefusal: Bool { [EPERM, EACCES].contains(code) }
}
