/// No disk, or not this one: nothing was written.
public struct DiskSelectionError: Error, Sendable, Equatable {
    /// Why, for programs: `disk.` and this is the `kind` of an `error` event.
    public enum Kind: String, Sendable, CaseIterable {
        /// Mounted, swap, held, open or locked by another program: itself, a partition, or another path to it.
        case inUse
        /// Whether it is in use cannot be told.
        case useUnknown
        case tooSmall
        /// Another logical block size than the image's.
        case blockSize
        case readOnly
        /// Nothing is there, or no node of the disk that would be taken.
        case notFound
        /// No medium in it, or nothing bound to it.
        case noMedium
        /// A partition, a directory, a character device …
        case notADisk
        /// The image is read from it.
        case isSource
        /// It is not what it was a moment before.
        case changed
        /// It wants memory aligned to more than this program's buffers are, or a partition begins inside a block of its disk.
        case alignment
        /// A disk with partitions, where one of them may be meant.
        case partitioned
        /// The kernel would not open it, for another reason.
        case cannotOpen
        /// None was named, and none of this host's fits.
        case noneFits
        /// Another run has it, or, where no disk was named, another program has the one that would be taken.
        case busy
        /// Opening it was not permitted.
        case notPermitted
    }

    /// Why, for programs.
    public let kind: Kind
    /// The path asked for, or of the disk that would be taken; nil when none fits.
    public let path: String?
    /// Why, in words; several disks and their reasons where none fits.
    public let reason: String
    /// What stands against it, where that was the reason.
    public let obstacles: [DiskRejection]
    /// The disk was not named but chosen: the one that fits best. No other is taken in its place.
    public let isChosen: Bool

    package init(_ kind: Kind, path: String?, reason: String, obstacles: [DiskRejection] = [], isChosen: Bool = false) {
        self.kind = kind
        self.path = path
        self.reason = reason
        self.obstacles = obstacles
        self.isChosen = isChosen
    }
}
