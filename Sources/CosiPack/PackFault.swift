import CosiFormat
package import StreamDisk

/// Why a disk was not packed. No file of the output's name was made, and the source is as it was.
package enum PackFault: Error, Sendable {
    /// The source cannot be opened, is in use, or was changed meanwhile.
    case source(DiskSelectionError)
    /// What is there cannot be packed.
    case disk(Kind, path: String, reason: String)
    /// A program that the source's format takes is missing, or failed.
    case tool(String, reason: String)
    /// What was asked for does not fit the disk, or itself.
    case request(String)
    /// The image could not be made.
    case image(PackError)

    /// What is wrong with a source. Stable, for programs.
    package enum Kind: String, Sendable, CaseIterable {
        /// No such file or disk.
        case notFound
        /// It has no GPT.
        case noTable
        /// Its table is for a larger disk: the file is cut off.
        case truncated
        /// Its table counts in other blocks than was said, or than the device has.
        case blockSize
        /// A virtual disk of a form that is not read.
        case format
    }

    static func invalid(_ error: FormatError, _ path: String) -> PackFault {
        .image(.invalid(FormatError(error.code, place: "\(printable(path)): \(error.place)", problem: error.problem)))
    }

    /// Stable, for programs.
    package var kind: String {
        switch self {
        case .source(let error): StreamFault.disk(error).kind
        case .disk(let kind, _, _): "source.\(kind.rawValue)"
        case .tool: "tool"
        case .request: "usage"
        case .image(let error): error.kind
        }
    }

    /// The exit code.
    package var code: Int32 {
        switch self {
        case .source(let error): StreamFault.disk(error).code
        case .disk(.notFound, _, _): ExitCodes.noImage
        case .disk(.blockSize, _, _), .request: ExitCodes.usage
        case .disk: ExitCodes.invalidImage
        case .tool: ExitCodes.unreachable
        case .image(let error): error.code
        }
    }

    /// The byte of the source where it happened.
    package var offset: UInt64? { if case .image(let error) = self { error.offset } else { nil } }

    /// One sentence: what, where, why, what to do.
    ///
    /// - Parameter cancelled: what to say when the run was cancelled.
    package func message(cancelled: String = "interrupted") -> String {
        switch self {
        case .source(let error):
            StreamFault.disk(error).message(Wording()) + Self.advice(error.obstacles)
        case .disk(let kind, let path, let reason): "\(path): \(reason)" + kind.advice
        case .tool(let name, let reason): "\(name): \(reason)"
        case .request(let text): text
        case .image(let error): error.message(cancelled: cancelled)
        }
    }

    private static func advice(_ obstacles: [DiskRejection]) -> String {
        guard let first = obstacles.first else { return "" }
        switch first {
        case .mounted: return "; unmount it, or make the mount read-only (mount -o remount,ro)"
        case .swap: return "; turn it off (swapoff)"
        case .held, .otherPath, .byteLocked, .openedExclusively:
            return "; what is packed must not change meanwhile: end that use first"
        default: return ""
        }
    }
}

extension PackFault.Kind {
    fileprivate var advice: String {
        switch self {
        case .noTable: "; an image is made of a disk with a GPT"
        case .truncated: "; copy it anew"
        case .notFound, .blockSize, .format: ""
        }
    }
}
