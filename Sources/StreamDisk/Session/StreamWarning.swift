public import CosiFormat

/// A condition that the user should know of; the run continues.
///
/// Later releases may add cases: use a `default` when switching over it.
public enum StreamWarning: Sendable, Equatable {
    /// The image deviates from the format in a harmless way.
    case image(FormatWarning)
    /// The image is for another architecture than this host's; `host` is nil if the format has no name for it.
    case architecture(image: CosiMetadata.Architecture, host: CosiMetadata.Architecture?)
    /// The image comes over a network without TLS, and no hash was given to identify it.
    case hashNotGiven
    /// The source has not delivered its metadata for this long.
    case sourceSilent(name: String, seconds: Int)
    /// The disk has not completed a request for this long.
    case diskSilent(path: String, seconds: Int)
    /// A message about the disk: it is compared while in use, direct I/O is refused, or its partitions are late.
    case disk(String)
    /// io_uring is refused here; threads write the disk (or read it, if `writes` is false).
    case noUring(SystemError, writes: Bool)
    /// A part of the disk differs from the image. The rest is still compared.
    case differs(path: String, area: DiskMismatch.Area)
    /// The kernel did not read the new partition table.
    case tableNotRead(path: String, cause: SystemError)
}

extension StreamWarning: CustomStringConvertible {
    /// The message on one line.
    public var description: String { message(Wording()) }

    /// The same in a front-end's wording.
    public func message(_ wording: Wording) -> String {
        switch self {
        case .image(let warning): warning.description
        case .architecture(let image, let host):
            "the image is for \(image), this host is \(host?.description ?? "of another kind"): it will not boot here"
        case .hashNotGiven:
            "the image comes over http and its hash was not given\(wording.naming(.hash)): "
                + "anybody on the network's path can put another in its place"
        case .sourceSilent(let name, let seconds): "\(name): still waiting for its metadata after \(seconds) seconds"
        case .diskSilent(let path, let seconds): "\(path) has not answered for \(seconds) seconds; still waiting"
        case .disk(let text): text
        case .noUring(let cause, let writes):
            "io_uring is refused here (\(cause)): " + (writes ? "writing with pwrite" : "reading with pread")
        case .differs(let path, let area): "\(path): \(area) is not the image's; comparing the rest"
        case .tableNotRead(let path, let cause):
            "the kernel did not read the new partition table of \(path) again (\(cause)); "
                + "it will when the disk is attached the next time, or at the next boot"
        }
    }
}
