/// A reason not to write to a disk.
public enum DiskRejection: Sendable, Equatable, CustomStringConvertible {
    /// `device` (the disk, a partition, or a device built on them) is mounted; `mountPoint` is its first mount point.
    case mounted(device: String, mountPoint: String)
    case swap(device: String)
    /// The device `by` (such as dm-0, md127, loop3) is built on the disk or one of its partitions.
    case held(by: String)
    /// `name` is another path to the same disk, and is in use.
    case otherPath(name: String)
    /// Another program has it open exclusively, such as a file system in another mount namespace.
    case openedExclusively
    /// Another program holds its lock (flock), as another run of this program does.
    case locked
    /// Another program has locked part of it (fcntl), as a virtual machine that uses it does.
    case byteLocked
    /// The file that would show whether it is in use cannot be read.
    case useUnknown(file: String)
    /// The image is stored on it, or on a device built on it.
    case isSource
    case readOnly
    /// It has no medium, or no backing.
    case zeroSize
    case removable
    /// A network disk: iSCSI, Fibre Channel, NVMe over fabrics.
    case network(transport: String)
    /// A kind of device that is never selected automatically (loop, zram, dm, md, optical …).
    case wrongKind(name: String)
    /// A boot partition or replay-protected area of an eMMC.
    case bootArea(name: String)
    /// Sizes in bytes.
    case tooSmall(need: UInt64, has: UInt64)
    /// Logical block sizes in bytes.
    case wrongBlockSize(need: Int, has: Int)
    /// It is a partition that does not begin at a block of its disk.
    case misaligned(startBytes: UInt64, blockBytes: Int)
    /// It is a whole disk with partitions, one of which may be meant.
    case partitioned(names: [String])
    /// It does not meet `hint`: its `key` is `has`, nil if unknown.
    case notSelected(key: String, has: String?, hint: String)

    /// A stable code for programs.
    public var code: String {
        switch self {
        case .mounted: "mounted"
        case .swap: "swap"
        case .held: "held"
        case .otherPath: "otherPath"
        case .openedExclusively: "openedExclusively"
        case .locked: "locked"
        case .byteLocked: "byteLocked"
        case .useUnknown: "useUnknown"
        case .isSource: "isSource"
        case .readOnly: "readOnly"
        case .zeroSize: "noMedium"
        case .removable: "removable"
        case .network: "network"
        case .wrongKind: "wrongKind"
        case .bootArea: "bootArea"
        case .tooSmall: "tooSmall"
        case .wrongBlockSize: "blockSize"
        case .misaligned: "alignment"
        case .partitioned: "partitioned"
        case .notSelected: "notSelected"
        }
    }

    /// Whether it only prevents automatic selection; a disk that the user names may still be used.
    package var isForChoiceOnly: Bool {
        switch self {
        case .removable, .network, .wrongKind, .bootArea: true
        case .mounted, .swap, .held, .otherPath, .openedExclusively, .locked, .byteLocked, .useUnknown, .isSource,
            .readOnly, .zeroSize, .tooSmall, .wrongBlockSize, .misaligned, .partitioned, .notSelected:
            false
        }
    }

    /// Whether it prevents writing only, and the disk can still be read.
    var isForWritingOnly: Bool {
        switch self {
        case .mounted, .swap, .held, .otherPath, .openedExclusively, .locked, .byteLocked, .useUnknown, .isSource,
            .readOnly, .removable, .network, .wrongKind, .bootArea, .misaligned, .partitioned:
            true
        case .zeroSize, .tooSmall, .wrongBlockSize, .notSelected: false
        }
    }

    /// Whether it is transient: another program is using the disk at the moment. It does not make another disk the best choice;
    /// a caller that waits gets this disk.
    var isPassing: Bool {
        switch self {
        case .openedExclusively, .locked, .byteLocked: true
        default: false
        }
    }

    /// Whether it is not the disk that the hints ask for, whatever the image.
    var isSelection: Bool { if case .notSelected = self { true } else { false } }

    /// Whether it is a use that also counts for other paths to the same disk.
    var isUse: Bool {
        switch self {
        case .mounted, .swap, .held: true
        default: false
        }
    }

    var errorKind: DiskSelectionError.Kind {
        switch self {
        case .mounted, .swap, .held, .otherPath, .openedExclusively, .locked, .byteLocked: .inUse
        case .useUnknown: .useUnknown
        case .isSource: .isSource
        case .readOnly: .readOnly
        case .zeroSize: .noMedium
        case .tooSmall: .tooSmall
        case .wrongBlockSize: .blockSize
        case .misaligned: .alignment
        case .partitioned: .partitioned
        case .removable, .network, .wrongKind, .bootArea: .notADisk
        case .notSelected: .noneMatches
        }
    }

    /// The kind of device, by its kernel name. For messages only.
    private static func kind(_ name: String) -> String {
        let kinds = [
            ("loop", "a loop device"), ("dm-", "a device-mapper device"), ("md", "a RAID array"), ("zram", "a RAM disk"),
            ("ram", "a RAM disk"), ("sr", "an optical drive"), ("nbd", "a network block device"),
            ("rbd", "a network block device"),
        ]
        return kinds.first { name.hasPrefix($0.0) }?.1 ?? "no ordinary disk"
    }

    public var description: String {
        switch self {
        case .mounted(let device, let mountPoint): "in use: \(device) is mounted on \(mountPoint)"
        case .swap(let device): "in use: \(device) is swap space"
        case .held(let by): "in use: \(by) is built on it"
        case .otherPath(let name): "in use: \(name), another path to the same disk, is in use"
        case .openedExclusively: "in use: another program has it open exclusively"
        case .locked: "another program holds its lock"
        case .byteLocked: "in use: another program, such as a virtual machine, has locked it"
        case .useUnknown(let file): "cannot tell whether it is in use: \(file) cannot be read"
        case .isSource: "the image is read from it"
        case .readOnly: "read-only"
        case .zeroSize: "has no medium (zero size)"
        case .removable: "removable, used only when named"
        case .network(let transport): "reached over a network (\(transport)), used only when named"
        case .wrongKind(let name): "\(Self.kind(name)), used only when named"
        case .bootArea: "a boot area of an eMMC, used only when named"
        case .tooSmall(let need, let has): "too small: \(sizeText(need)) needed, it has \(sizeText(has))"
        case .wrongBlockSize(let need, let has):
            "wrong logical block size: the image is made for \(need) bytes, it has \(has)"
        case .misaligned(let start, let block): "it begins at byte \(start) of its disk, inside a block of \(block) bytes"
        case .partitioned(let names):
            "a whole disk with partitions (\(names.joined(separator: ", "))); name one of them, or remove its partition table first"
        case .notSelected(let key, let has, let hint):
            "\(has.map { "its \(key) is \($0)" } ?? "its \(key) is not known"), not \(hint)"
        }
    }
}
