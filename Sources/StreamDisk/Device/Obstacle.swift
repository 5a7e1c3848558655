/// A reason not to write onto a disk.
public enum Obstacle: Sendable, Equatable, CustomStringConvertible {
    /// `device` (the disk, a partition, or what is stacked on them) is mounted; the first of its mount points.
    case mounted(device: String, mountPoint: String)
    case swap(device: String)
    /// `by` (such as dm-0, md127) is built on the disk or on a partition of it.
    case held(by: String)
    /// Another program has it open exclusively: a file system of another mount namespace, a multi-device file system …
    case openedExclusively
    /// Another program holds its lock (flock), as a run of this program does.
    case locked
    /// What would tell whether it is in use cannot be read.
    case useUnknown(file: String)
    case readOnly
    /// No medium, or nothing bound to it.
    case zeroSize
    case removable
    /// Not a kind of disk that is ever chosen by itself (loop, zram, dm, md, optical …).
    case wrongKind(name: String)
    /// A boot or replay-protected area of an eMMC.
    case bootArea(name: String)
    /// Bytes.
    case tooSmall(need: UInt64, has: UInt64)
    /// Bytes of a logical block.
    case wrongBlockSize(need: Int, has: Int)

    /// Whether it only keeps the disk from being chosen by itself, and not from being named.
    public var isForChoiceOnly: Bool {
        switch self {
        case .removable, .wrongKind, .bootArea: true
        case .mounted, .swap, .held, .openedExclusively, .locked, .useUnknown, .readOnly, .zeroSize, .tooSmall,
            .wrongBlockSize:
            false
        }
    }

    /// Whether it stands against writing only: the disk can be read all the same.
    var isForWritingOnly: Bool {
        switch self {
        case .mounted, .swap, .held, .openedExclusively, .locked, .useUnknown, .readOnly, .removable, .wrongKind, .bootArea:
            true
        case .zeroSize, .tooSmall, .wrongBlockSize: false
        }
    }

    public var description: String {
        switch self {
        case .mounted(let device, let mountPoint): "in use: \(device) is mounted on \(mountPoint)"
        case .swap(let device): "in use: \(device) is swap space"
        case .held(let by): "in use: \(by) is built on it"
        case .openedExclusively: "in use: another program has it open exclusively"
        case .locked: "another program holds its lock"
        case .useUnknown(let file): "cannot tell whether it is in use: \(file) cannot be read"
        case .readOnly: "read-only"
        case .zeroSize: "has no medium (zero size)"
        case .removable: "removable, used only when named"
        case .wrongKind: "of a kind that is used only when named"
        case .bootArea: "a boot area of an eMMC, used only when named"
        case .tooSmall(let need, let has): "too small: \(sizeText(need)) needed, it has \(sizeText(has))"
        case .wrongBlockSize(let need, let has):
            "wrong logical block size: the image is made for \(need) bytes, it has \(has)"
        }
    }
}
