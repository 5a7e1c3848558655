/// No disk, or not this one: nothing was written.
public struct DiskError: Error, Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// In use, too small, read-only, wrong sector size, not a disk, or none fits.
        case unusable
        /// Another run holds its lock.
        case busy
        /// Opening it was not permitted.
        case notPermitted
    }

    public let kind: Kind
    /// The path asked for; nil when no disk was named.
    public let path: String?
    /// Why, in words; several disks and their reasons where none fits.
    public let reason: String

    public init(_ kind: Kind, path: String?, reason: String) {
        self.kind = kind
        self.path = path
        self.reason = reason
    }
}
