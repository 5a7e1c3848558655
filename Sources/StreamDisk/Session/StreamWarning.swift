public import CosiFormat

/// Something worth knowing that stops nothing.
///
/// Later releases add cases: switch over it with a `default`.
public enum StreamWarning: Sendable, Equatable {
    /// The image has something that it should not have, and that does no harm.
    case image(FormatWarning)
    /// The image is for another machine than this host, whose architecture is nil where the format does not know it.
    case architecture(image: CosiMetadata.Architecture, host: CosiMetadata.Architecture?)
    /// The image comes over a network without TLS, and no hash was given that would tell it from another.
    case hashNotGiven
    /// The source has not brought its metadata for so long.
    case sourceSilent(name: String, seconds: Int)
    /// The disk has not completed a request for so long.
    case diskSilent(path: String, seconds: Int)
    /// The disk, in words: it is in use and compared all the same, or direct I/O is refused, or its partitions are late.
    case disk(String)
    /// io_uring is refused here, so that the disk is written, or else read, by threads.
    case noUring(SystemError, writes: Bool)
    /// A part of the disk differs from the image; the rest is compared all the same.
    case differs(path: String, area: DiskMismatch.Area)
    /// The kernel did not read the new partition table.
    case tableNotRead(path: String, cause: SystemError)
}

extension StreamWarning: CustomStringConvertible {
    /// One line.
    public var description: String { message(Wording()) }

    /// The same in a front-end's words.
    public func message(_ wording: Wording) -> String {
        switch self {
        case .image(let warning): warning.description
        case .architecture(let image, let host):
            "the image is for \(image), this host is \(host?.description ?? "of another kind"): it will not boot here"
        case .hashNotGiven:
            "the image comes over http and its hash was not given\(wording.naming(.hash)): "
                + "whoever is on the way can put another in its place"
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
