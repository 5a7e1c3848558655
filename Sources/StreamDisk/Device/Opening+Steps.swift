import CLinux
import Glibc

// The steps of opening a target. Each throws its own error.
extension Opening {
    /// The status of the path, without opening it: opening alone triggers some devices (a watchdog, a tape drive).
    func look() throws(DiskSelectionError) -> stat {
        guard !path.utf8.contains(0) else { throw refusal(.notFound, "not a path") }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            let error = SystemError.current
            guard chosen != nil, error.code == ENOENT else { throw failure(error) }
            throw refusal(.notFound, "the kernel has this disk, but there is no node of it")
        }
        return status
    }

    /// The disk with this device number, with its uses.
    func disk(_ number: DeviceNumber) throws(DiskSelectionError) -> DiskInfo {
        guard
            let info = isRegion
                ? hosts.partition(number, source: source) ?? hosts.disk(number, source: source)
                : hosts.disk(number, source: source)
        else { throw unknown(number) }
        return info
    }

    /// The disk with this device number, without its uses.
    func hardware(_ number: DeviceNumber) throws(DiskSelectionError) -> DiskInfo {
        try hosts.expectReadable()
        if isRegion, let partition = hosts.partitionHardware(number) { return partition }
        if let partition = hosts.partition(number) {
            throw refusal(.notADisk, "\(partition) is a partition, not a whole disk")
        }
        guard let info = hosts.hardware(number) else { throw unknown(number) }
        return info
    }

    private func unknown(_ number: DeviceNumber) -> DiskSelectionError {
        refusal(.useUnknown, "nothing under /sys/dev/block/\(number) tells whether it is in use")
    }

    /// Opens the node for locking only and takes the lock, on the whole-disk node as udev asks (systemd.io, "Locking Block
    /// Device Access"). Throws if the node is no longer the one that `before` describes.
    func lock(_ before: stat, exclusively: Bool? = nil) throws(DiskSelectionError) -> Descriptor {
        let lock: Descriptor
        do {
            lock = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK)
        } catch {
            throw failure(error)
        }
        let after = try status(lock)
        guard after.st_dev == before.st_dev, after.st_ino == before.st_ino, after.st_rdev == before.st_rdev else {
            throw changed
        }
        let operation = exclusively ?? (access == .readWrite) ? LOCK_EX : LOCK_SH
        let deadline = Instant.after(seconds: lockTimeoutSeconds)
        while cl_flock(lock.number, operation | LOCK_NB) != 0 {
            let error = SystemError.current
            guard error.code == EWOULDBLOCK || error.code == EINTR else {
                throw refusal(.cannotOpen, "its lock (flock) cannot be taken: \(error)")
            }
            guard Instant.now < deadline else {
                throw DiskSelectionError(
                    .busy, path: path, reason: "another run, or another program, holds its lock", obstacles: [.locked],
                    isChosen: chosen != nil)
            }
            waitAMoment()
        }
        return lock
    }

    /// A shared lock on a partition's disk: several partitions of a disk may be written at once, while a run that writes the
    /// whole disk locks it exclusively. Empty if the target is a whole disk.
    func lockDisk(of info: DiskInfo) throws(DiskSelectionError) -> [HeldPath] {
        guard let place = info.place else { return [] }
        let opening = beside(place.diskPath)
        let node = try opening.look()
        guard node.st_mode & S_IFMT == S_IFBLK, DeviceNumber(node.st_rdev) == place.disk else { throw changed }
        return [HeldPath(lock: try opening.lock(node, exclusively: false), working: nil)]
    }

    /// Opens the target for reading and writing, with O_DIRECT if allowed and supported.
    func openWorking(mayBeDirect: Bool, exclusively: Int32) throws(DiskSelectionError) -> Descriptor {
        var direct = mayBeDirect ? cl_O_DIRECT : 0
        let deadline = Instant.after(seconds: exclusiveTimeoutSeconds)
        while true {
            do {
                // Without O_NONBLOCK, with which io_uring would return EAGAIN instead of waiting.
                return try Descriptor(
                    opening: path, (access == .readWrite ? O_RDWR : O_RDONLY) | exclusively | direct)
            } catch {
                switch error.code {
                case EINVAL where direct != 0: direct = 0
                case EBUSY where Instant.now < deadline: waitAMoment()
                case EBUSY: throw refusal([.openedExclusively])
                default: throw failure(error)
                }
            }
        }
    }

    /// Whether another program, or a file system in another mount namespace, has the disk open exclusively.
    func isOpenedExclusively() -> Bool {
        do throws(SystemError) {
            _ = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK | O_EXCL)
            return false
        } catch {
            return error.code == EBUSY
        }
    }

    /// Throws if another program, such as a virtual machine, has locked part of it (fcntl(2), "Open file description locks").
    func expectNoByteLock(_ lock: borrowing Descriptor) throws(DiskSelectionError) {
        let deadline = Instant.after(seconds: exclusiveTimeoutSeconds)
        while isByteLocked(lock) {
            guard Instant.now < deadline else { throw refusal([.byteLocked]) }
            waitAMoment()
        }
    }

    func isByteLocked(_ file: borrowing Descriptor) -> Bool {
        var type: Int32 = 0
        // Where the file system does not support the query, no lock is assumed.
        return unsafe cl_lock_against_writing(file.number, &type) == 0 && type != F_UNLCK
    }

    /// Locks and opens the other paths to the same bytes like the target itself, so that no other program can use the disk
    /// through them.
    func holdOtherPaths(to disk: DiskInfo) throws(DiskSelectionError) -> [HeldPath] {
        var held: [HeldPath] = []
        var others = disk.place == nil ? hosts.otherPaths(to: disk) : []
        // A partition shares whatever its disk is built on with the disk's other partitions.
        let isExclusive = access == .readWrite && disk.place == nil
        if let place = disk.place {
            for twin in hosts.twins(of: disk) {
                held += try lockDisk(of: twin)
                held.append(try hold(twin.path, twin.number, exclusively: access == .readWrite))
            }
            others = hosts.pathsBelow(place.diskName)
        }
        for other in others { held.append(try hold(other.path, other.number, exclusively: isExclusive)) }
        for (file, path) in hosts.filesBelow(disk) {
            let opening = beside(path)
            // A file without a name in this mount namespace cannot be checked.
            guard let node = try? opening.look(), FileIdentity(node) == file else { continue }
            let lock: Descriptor
            do throws(DiskSelectionError) {
                lock = try opening.lock(node, exclusively: isExclusive)
            } catch {
                // Some file systems do not support locks.
                if error.kind == .busy { throw error }
                continue
            }
            try opening.expectNoByteLock(lock)
            held.append(HeldPath(lock: lock, working: nil))
        }
        return held
    }

    /// Locks another path, and opens it exclusively so that nothing can be mounted through it.
    ///
    /// With a shared lock, a path that another target of this run already holds is used: a second descriptor could not open it
    /// exclusively.
    private func hold(_ path: String, _ number: DeviceNumber, exclusively: Bool) throws(DiskSelectionError) -> HeldPath {
        if !exclusively, let own = heldByRun.first(where: { $0.opened == number }) { return own }
        let opening = beside(path)
        let node = try opening.look()
        guard node.st_mode & S_IFMT == S_IFBLK, DeviceNumber(node.st_rdev) == number else { throw opening.changed }
        let lock = try opening.lock(node, exclusively: exclusively)
        return HeldPath(lock: lock, working: try opening.openWorking(mayBeDirect: false, exclusively: O_EXCL), opened: number)
    }

    /// The same opening, but of another path.
    private func beside(_ path: String) -> Opening {
        var opening = Opening(path: path, requirement: requirement, access: .readOnly)
        opening.hosts = hosts
        opening.chosen = chosen
        opening.lockTimeoutSeconds = lockTimeoutSeconds
        opening.exclusiveTimeoutSeconds = exclusiveTimeoutSeconds
        return opening
    }

    /// Every buffer starts at a multiple of `DirectBuffer.alignmentBytes`. A disk that requires more would fail in mid-run.
    func expectAlignment(_ bytes: Int) throws(DiskSelectionError) {
        guard DirectBuffer.alignmentBytes % bytes == 0 else {
            throw refusal(
                .alignment, "it wants memory aligned to \(bytes) bytes, this program's is to \(DirectBuffer.alignmentBytes)")
        }
    }

    func noteForComparing(_ obstacle: DiskRejection) -> String? {
        guard obstacle.isForWritingOnly, obstacle != .readOnly else { return nil }
        return "\(obstacle): what is written to the disk meanwhile shows as a difference"
    }

    struct Geometry {
        /// Nil before Linux 5.15.
        var sequence: UInt64?
        var sizeBytes: UInt64 = 0
        var blockBytes = 0
        var isReadOnly = false
    }

    func geometry(of disk: borrowing Descriptor) throws(DiskSelectionError) -> Geometry {
        var size: UInt64 = 0
        var logical: Int32 = 0
        var readOnly: Int32 = 0
        guard unsafe cl_block_size_bytes(disk.number, &size) == 0,
            unsafe cl_block_logical_size(disk.number, &logical) == 0,
            unsafe cl_block_read_only(disk.number, &readOnly) == 0
        else { throw failure(.current) }
        var sequence: UInt64 = 0
        let knowsSequence = unsafe cl_block_sequence(disk.number, &sequence) == 0
        return Geometry(
            sequence: knowsSequence ? sequence : nil, sizeBytes: size, blockBytes: Int(logical), isReadOnly: readOnly != 0)
    }

    /// What direct I/O on a regular file requires; an offset alignment of 0 means that it is not supported.
    func directAlignment(_ file: borrowing Descriptor) -> (offsetBytes: Int, memoryBytes: Int) {
        var status = statx()
        guard unsafe cl_statx_direct_alignment(file.number, &status) == 0, status.stx_mask & CL_STATX_DIOALIGN != 0
        else {
            // Before Linux 6.1, and for file systems that report nothing: 4096 suffices wherever direct I/O works at all.
            return (4096, 4096)
        }
        return (Int(status.stx_dio_offset_align), max(Int(status.stx_dio_mem_align), 1))
    }

    func status(_ file: borrowing Descriptor) throws(DiskSelectionError) -> stat {
        do {
            return try file.status()
        } catch {
            throw failure(error)
        }
    }

    /// The path without symbolic links. Throws if it no longer leads to the opened file: if a link was changed meanwhile, its new
    /// target must not be shown.
    func resolved(_ opened: stat) throws(DiskSelectionError) -> String {
        guard let text = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(text) }
        var status = stat()
        guard unsafe stat(text, &status) == 0, status.st_dev == opened.st_dev, status.st_ino == opened.st_ino,
            status.st_rdev == opened.st_rdev
        else { throw changed }
        // SAFETY: realpath returned a NUL-terminated string that this function must free.
        return unsafe String(cString: text)
    }

    var verb: String { access == .compare ? "reading" : "writing" }

    // MARK: - Errors

    func refusal(_ kind: DiskSelectionError.Kind, _ reason: String, _ obstacles: [DiskRejection] = []) -> DiskSelectionError {
        DiskSelectionError(kind, path: path, reason: reason, obstacles: obstacles, isChosen: chosen != nil)
    }

    /// - Parameter obstacles: at least one; the first determines the kind.
    func refusal(_ obstacles: [DiskRejection]) -> DiskSelectionError {
        // If the disk was selected automatically and is only in use at the moment, the caller can wait and retry.
        let isPassing = chosen != nil && obstacles.contains(where: \.isPassing)
        return refusal(
            isPassing ? .busy : obstacles.first?.errorKind ?? .cannotOpen,
            obstacles.map(\.description).joined(separator: ", "), obstacles)
    }

    var changed: DiskSelectionError { refusal(.changed, "it changed into another disk or file while it was being opened") }

    func failure(_ error: SystemError) -> DiskSelectionError {
        switch error.code {
        case EACCES, EPERM: refusal(.notPermitted, "opening it is not permitted (\(error)); disks need root")
        case ENOENT: refusal(.notFound, "there is no such disk or file")
        case EROFS: refusal([.readOnly])
        case ENOMEDIUM, ENXIO: refusal(.noMedium, "no medium in it, or nothing bound to it (\(error))")
        default: refusal(.cannotOpen, "it cannot be opened: \(error)")
        }
    }
}

/// Another path to the target's bytes. It stays locked and, if it is a block device, open exclusively for as long as this value
/// lives.
final class HeldPath: Sendable {
    private let lock: Descriptor
    private let working: Descriptor?
    /// The device that is open exclusively; nil if it is only locked.
    let opened: DeviceNumber?

    init(lock: consuming Descriptor, working: consuming Descriptor?, opened: DeviceNumber? = nil) {
        self.lock = lock
        self.working = working
        self.opened = opened
    }
}
