import CLinux
import Glibc

/// A whole disk, or a file used as one, open for reading what nobody changes meanwhile.
///
/// Nothing is ever written to it: the descriptor is read-only. While this value lives it holds the shared lock (flock(2)) that
/// udev and partitioning tools respect. A mount is not kept away, so ``expectUnchanged()`` looks again at the end.
package final class SourceDisk: Sendable {
    /// The path as the caller gave it.
    package let path: String
    package let sizeBytes: UInt64
    /// The logical block size in bytes; nil for a regular file, which has none.
    package let blockBytes: Int?
    /// Nil for a regular file.
    package let info: DiskInfo?

    private let file: Descriptor
    private let opened: Snapshot

    /// What shows that a file was changed.
    private struct Snapshot: Equatable {
        var sizeBytes: Int64 = 0
        var seconds = 0
        var nanoseconds = 0
        /// Of a block device.
        var sequence: UInt64?

        init(file: stat) {
            (sizeBytes, seconds, nanoseconds) = (Int64(file.st_size), file.st_mtim.tv_sec, file.st_mtim.tv_nsec)
        }

        init(_ geometry: Opening.Geometry) { (sizeBytes, sequence) = (Int64(clamping: geometry.sizeBytes), geometry.sequence) }
    }

    /// Opens what is at `path`, and refuses what others may be changing: it is mounted read-write, swap space, open in a virtual
    /// machine, below another device. What is mounted read-only is accepted. Blocks for about three seconds at most while
    /// another program holds its lock.
    package static func open(path: String) throws(DiskSelectionError) -> SourceDisk {
        let opening = Opening(path: path, requirement: DiskRequirement(sizeBytes: 0, blockBytes: 512), access: .compare)
        let before = try opening.look()
        switch before.st_mode & S_IFMT {
        case S_IFBLK: return try SourceDisk(disk: before, opening)
        case S_IFREG: return try SourceDisk(file: before, opening)
        case S_IFDIR: throw opening.refusal(.notADisk, "a directory, not a disk")
        default: throw opening.refusal(.notADisk, "neither a block device nor a regular file")
        }
    }

    private init(disk before: stat, _ opening: Opening) throws(DiskSelectionError) {
        let number = DeviceNumber(before.st_rdev)
        let first = try opening.hardware(number)
        file = try opening.lock(before)
        let info = try opening.disk(number)
        guard info.isSameDisk(as: first) else { throw opening.changed }
        guard info.sizeBytes > 0 else { throw opening.refusal([.zeroSize]) }
        try Self.expectQuiet(info.obstacles, file, opening)
        let geometry = try opening.geometry(of: file)
        guard geometry.sizeBytes == info.sizeBytes, geometry.blockBytes == info.blockBytes else { throw opening.changed }
        path = opening.path
        sizeBytes = info.sizeBytes
        blockBytes = info.blockBytes
        self.info = info
        opened = Snapshot(geometry)
        _ = fcntl(file.number, F_SETFL, 0)
    }

    private init(file before: stat, _ opening: Opening) throws(DiskSelectionError) {
        file = try opening.lock(before)
        let status = try opening.status(file)
        try Self.expectQuiet(opening.hosts.uses(ofFile: FileIdentity(status), source: nil), file, opening)
        path = opening.path
        sizeBytes = UInt64(max(status.st_size, 0))
        blockBytes = nil
        info = nil
        opened = Snapshot(file: status)
        _ = fcntl(file.number, F_SETFL, 0)
    }

    /// For reading at any offset, on any thread, while this value lives.
    package var descriptor: Int32 { file.number }

    /// Whether `path` leads to this very disk or file, by any name.
    package func isSame(as path: String) -> Bool {
        var other = stat()
        guard let own = try? file.status(), unsafe stat(path, &other) == 0 else { return false }
        return own.st_dev == other.st_dev && own.st_ino == other.st_ino
            || info.map { other.st_mode & S_IFMT == S_IFBLK && $0.number == DeviceNumber(other.st_rdev) } == true
    }

    /// Throws if it was changed since it was opened, as far as that can be told, or is in use now.
    package func expectUnchanged() throws(DiskSelectionError) {
        let opening = Opening(path: path, requirement: DiskRequirement(sizeBytes: 0, blockBytes: 512), access: .compare)
        if let info {
            guard Snapshot(try opening.geometry(of: file)) == opened else { throw Self.changed(opening) }
            try Self.expectQuiet(try opening.disk(info.number).obstacles, file, opening)
        } else {
            guard Snapshot(file: try opening.status(file)) == opened else { throw Self.changed(opening) }
        }
    }

    private static func changed(_ opening: Opening) -> DiskSelectionError {
        opening.refusal(.changed, "it was changed while it was read")
    }

    private static func expectQuiet(
        _ uses: [DiskRejection], _ file: borrowing Descriptor, _ opening: Opening
    ) throws(DiskSelectionError) {
        var changing = opening.hosts.changing(uses)
        if changing.isEmpty, opening.isByteLocked(file) { changing.append(.byteLocked) }
        // A read-only mount holds the device as a program that writes would.
        if changing.isEmpty, !uses.contains(where: \.isUse), opening.isOpenedExclusively() { changing.append(.openedExclusively) }
        guard changing.isEmpty else { throw opening.refusal(changing) }
    }
}

extension HostDisks {
    /// Those of the uses of a disk that may change what is on it.
    func changing(_ uses: [DiskRejection]) -> [DiskRejection] {
        let writable = DiskUse(of: tree, withLocks: false).writable
        func number(_ name: String) -> DeviceNumber? { tree.deviceNumber("/sys/class/block/\(name)/dev") }
        return uses.filter { use in
            switch use {
            case .mounted(let device, _): number(device).map(writable.contains) ?? true
            case .held(let by): tree.text("/sys/class/block/\(by)/ro") != "1"
            case .swap, .otherPath, .useUnknown: true
            default: false
            }
        }
    }
}
