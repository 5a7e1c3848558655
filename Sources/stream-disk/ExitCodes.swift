import Glibc
import StreamDisk

/// The exit codes of the command line (sysexits.h): a contract with scripts.
enum ExitCodes {
    static let done: Int32 = 0
    static let usage: Int32 = 64
    static let invalidImage: Int32 = 65
    static let noImage: Int32 = 66
    static let unreachable: Int32 = 69
    static let software: Int32 = 70
    static let deviceFailed: Int32 = 74
    static let busy: Int32 = 75
    static let unsupportedServer: Int32 = 76
    static let notPermitted: Int32 = 77
    static let unusableDisk: Int32 = 78
    /// SIGINT; others are 128 and their number too.
    static let interrupted: Int32 = 130

    /// What each means, for `--help`.
    static var table: String {
        HelpText.table([
            ("\(done)", "the image is on the disk, checked and flushed; verify: the disk holds it"),
            ("\(usage)", "the command line is wrong"),
            ("\(invalidImage)", "the image is invalid, corrupt, or not the one asked for"),
            ("\(noImage)", "the image does not exist"),
            ("\(unreachable)", "the source cannot be reached, or stopped answering for too long"),
            ("\(software)", "a bug in this program"),
            ("\(deviceFailed)", "the disk failed; verify: the disk does not hold the image"),
            ("\(busy)", "another run holds the disk; with no --disk: the disk to be chosen is busy"),
            ("\(unsupportedServer)", "the server cannot serve this image"),
            ("\(notPermitted)", "not permitted: root, a password or a certificate is needed"),
            ("\(unusableDisk)", "no disk fits, the named disk cannot be used, or memory is short"),
            ("\(128 + SIGHUP) \(128 + SIGINT) \(128 + SIGTERM)", "ended by SIGHUP, SIGINT, SIGTERM"),
        ])
    }
}

extension StreamFault {
    var exitCode: Int32 {
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
        case .disk(let error):
            switch error.kind {
            case .busy: ExitCodes.busy
            case .notPermitted: ExitCodes.notPermitted
            case .inUse, .useUnknown, .tooSmall, .blockSize, .readOnly, .notFound, .noMedium, .notADisk, .isSource, .changed,
                .alignment, .cannotOpen, .noneFits:
                ExitCodes.unusableDisk
            }
        case .source(let error):
            switch error.kind {
            case .notFound: ExitCodes.noImage
            case .unreachable: ExitCodes.unreachable
            case .notPermitted: ExitCodes.notPermitted
            case .unsupported: ExitCodes.unsupportedServer
            case .changed: ExitCodes.invalidImage
            case .invalidReference, .unusableFile: ExitCodes.usage
            case .stopped: ExitCodes.interrupted
            }
        }
    }

    /// The `kind` of an `error` event.
    var kind: String {
        switch self {
        case .image: "image"
        case .architecture: "architecture"
        case .source(let error): "source.\(error.kind.rawValue)"
        case .device: "device"
        case .mismatch: "device.mismatch"
        case .disk(let error): "disk.\(error.kind.rawValue)"
        case .memory: "memory"
        case .cancelled: "cancelled"
        case .host: "host"
        }
    }

    /// The position of the image or of the disk that an error belongs to, where there is one.
    var offset: UInt64? {
        switch self {
        case .source(let error): error.offset
        case .device(let error): error.offset
        case .mismatch(let mismatch): mismatch.offset
        case .image, .architecture, .disk, .memory, .cancelled, .host: nil
        }
    }
}
