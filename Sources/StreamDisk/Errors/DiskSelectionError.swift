/// No disk fits, or the target cannot be used. Nothing was written.
public struct DiskSelectionError: Error, Sendable, Equatable {
    /// The reason, for programs. The `kind` of an `error` event is `disk.` followed by this.
    public enum Kind: String, Sendable, CaseIterable {
        /// Mounted, swap, held, open or locked by another program: the disk, a partition, or another path to it.
        case inUse
        /// It cannot be determined whether it is in use.
        case useUnknown
        case tooSmall
        /// Its logical block size is not the image's.
        case blockSize
        case readOnly
        /// The path does not exist, or the selected disk has no node.
        case notFound
        /// It has no medium, or no backing.
        case noMedium
        /// A partition, a directory, a character device …
        case notADisk
        /// The image is stored on it.
        case isSource
        /// It is no longer the disk or file that was looked at before.
        case changed
        /// It requires a larger alignment of memory than this program's buffers have, or it is a partition that begins inside a
        /// block of its disk.
        case alignment
        /// It is a whole disk with partitions, one of which may be meant.
        case partitioned
        /// The kernel would not open it, for another reason.
        case cannotOpen
        /// None was named, and no disk of this host fits.
        case noneFits
        /// Hints were given, and no disk of this host meets them.
        case noneMatches
        /// Another run is using it or, if no disk was named, another program is using the one that would be selected.
        case busy
        /// The kernel denied permission to open it.
        case notPermitted
    }

    /// The reason, for programs.
    public let kind: Kind
    /// The path that was given, or that of the selected disk; nil if none fits.
    package let path: String?
    /// The reason in words; if none fits, all disks with their reasons.
    package let reason: String
    /// The rejections, if those were the reason.
    package let obstacles: [DiskRejection]
    /// Whether the disk was selected automatically, as the best fit. No other disk is used in its place.
    package let isChosen: Bool

    package init(_ kind: Kind, path: String?, reason: String, obstacles: [DiskRejection] = [], isChosen: Bool = false) {
        self.kind = kind
        self.path = path
        self.reason = reason
        self.obstacles = obstacles
        self.isChosen = isChosen
    }
}
