import CLinux
import Glibc

extension TargetDisk {
    /// Opens and locks what is at `path`: a whole disk (also by a symbolic link, also a loop device) or a regular file.
    ///
    /// The order: look, lock, look again, open exclusively, and see that it is still what was looked at. Nothing is
    /// written. Blocks for at most about five seconds, waiting for a lock or another program's short look at the disk.
    ///
    /// Throws `.busy` when another run holds the lock, `.notPermitted` when the kernel says so, else `.unusable`.
    public static func open(
        path: String, requirement: DiskRequirement, access: Access
    ) throws(DiskError) -> TargetDisk {
        try Opening(path: path, requirement: requirement, access: access).open()
    }

    /// Opens and locks the smallest disk that fits and that nothing stands against.
    ///
    /// A disk that was taken between the choice and its opening is passed over; one that may not be opened ends the
    /// search, for the next would be another disk than the one to be expected. Throws like `open`, with every disk and
    /// its reason.
    public static func openSmallest(
        requirement: DiskRequirement, access: Access, hosts: HostDisks = HostDisks()
    ) throws(DiskError) -> TargetDisk {
        try hosts.expectReadable()
        let disks = hosts.list()
        var refused: [String: String] = [:]
        for disk in HostDisks.fitting(among: disks, for: requirement) {
            do {
                return try Opening(
                    path: disk.path, requirement: requirement, access: access, hosts: hosts, chosen: disk
                ).open()
            } catch {
                if error.kind == .notPermitted { throw error }
                refused[disk.name] = error.reason
            }
        }
        throw HostDisks.noneFits(among: disks, for: requirement, refused: refused)
    }
}

/// One opening of a target, step by step.
struct Opening {
    let path: String
    let requirement: DiskRequirement
    let access: TargetDisk.Access
    var hosts = HostDisks()
    /// The disk as it was when it was chosen; nil when a person named it.
    var chosen: DiskInfo?
    /// udev holds the lock for the moment of its look; another run for minutes.
    var lockTimeoutSeconds = 3.0
    /// Partitioning tools and the kernel's own partition scan open exclusively for a moment too.
    var exclusiveTimeoutSeconds = 1.0

    func open() throws(DiskError) -> TargetDisk {
        let before = try look()
        switch before.st_mode & S_IFMT {
        case S_IFBLK: return try openDisk(before)
        case S_IFREG: return try openFile(before)
        case S_IFDIR: throw refusal("a directory, not a disk")
        case S_IFCHR: throw refusal("a character device, not a disk")
        case S_IFIFO: throw refusal("a pipe, not a disk")
        default: throw refusal("neither a block device nor a regular file")
        }
    }

    private func openDisk(_ before: stat) throws(DiskError) -> TargetDisk {
        let number = DeviceNumber(before.st_rdev)
        let first = try disk(number)
        if let chosen, !chosen.isSameDisk(as: first) { throw changed }

        let lock = try lock(before)
        // Only now is what stands against it final: before, another run could still have been at work on it.
        let info = try disk(number)
        guard info.isSameDisk(as: first) else { throw changed }
        var obstacles = info.obstacles(to: requirement, isNamed: chosen == nil)
        var notes: [String] = []
        if access == .compare {
            if obstacles.isEmpty, isOpenedExclusively() { obstacles.append(.openedExclusively) }
            notes = obstacles.filter { $0.isForWritingOnly && $0 != .readOnly }.map {
                "\($0): what is written to the disk meanwhile shows as a difference"
            }
            obstacles.removeAll(where: \.isForWritingOnly)
        }
        guard obstacles.isEmpty else { throw refusal(obstacles.map(\.description).joined(separator: ", ")) }

        let working = try openWorking(mayBeDirect: true, exclusively: access == .compare ? 0 : O_EXCL)
        let isDirect = working.isDirect
        guard DeviceNumber(try status(working).st_rdev) == number else { throw changed }
        let geometry = try geometry(of: working)
        guard geometry.sizeBytes == info.sizeBytes, geometry.logicalBlockSize == info.logicalBlockSize else {
            throw changed
        }
        guard !geometry.isReadOnly || access == .compare else { throw refusal(Obstacle.readOnly.description) }
        // Before Linux 6.0, memory had to be aligned like the blocks.
        let alignment = max(info.dmaAlignmentBytes, info.logicalBlockSize)
        return TargetDisk(
            path: path, resolvedPath: resolved(), access: access, isBlockDevice: true, sizeBytes: info.sizeBytes,
            logicalBlockSize: info.logicalBlockSize, physicalBlockSize: geometry.physicalBlockSize,
            isDirect: isDirect, memoryAlignmentBytes: isDirect ? alignment : 1,
            notes: isDirect ? notes : notes + ["the device refuses direct I/O: \(verb) through the page cache"],
            info: info, hosts: hosts, lock: lock, working: working)
    }

    private func openFile(_ before: stat) throws(DiskError) -> TargetDisk {
        let lock = try lock(before)
        let direct = directAlignment(lock)
        let suits = direct.offsetBytes > 0 && requirement.logicalBlockSize % direct.offsetBytes == 0
        let working = try openWorking(mayBeDirect: suits, exclusively: 0)
        let isDirect = working.isDirect
        let after = try status(working)
        guard after.st_dev == before.st_dev, after.st_ino == before.st_ino else { throw changed }
        let size = UInt64(max(after.st_size, 0))
        let usable = size - size % UInt64(requirement.logicalBlockSize)
        guard usable >= requirement.sizeBytes else {
            throw refusal(Obstacle.tooSmall(need: requirement.sizeBytes, has: size).description)
        }
        var notes: [String] = []
        if !suits, direct.offsetBytes > 0 {
            let blocks = "\(direct.offsetBytes)-byte blocks, the image counts in \(requirement.logicalBlockSize)"
            notes.append("direct I/O on this file needs \(blocks): \(verb) through the page cache")
        } else if !isDirect {
            notes.append("the file system refuses direct I/O: \(verb) through the page cache")
        }
        if usable != size { notes.append("the last \(size - usable) bytes are no whole block and stay as they are") }
        return TargetDisk(
            path: path, resolvedPath: resolved(), access: access, isBlockDevice: false, sizeBytes: usable,
            logicalBlockSize: requirement.logicalBlockSize, physicalBlockSize: requirement.logicalBlockSize,
            isDirect: isDirect, memoryAlignmentBytes: isDirect ? direct.memoryBytes : 1, notes: notes,
            info: nil, hosts: hosts, lock: lock, working: working)
    }

    // MARK: - Steps

    /// What lies at the path, without opening it: opening alone starts some devices (a watchdog, a tape drive).
    private func look() throws(DiskError) -> stat {
        guard !path.utf8.contains(0) else { throw refusal("not a path") }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw failure(.current) }
        return status
    }

    private func disk(_ number: DeviceNumber) throws(DiskError) -> DiskInfo {
        try hosts.expectReadable()
        if let partition = hosts.partition(number) {
            throw refusal("\(partition) is a partition, not a whole disk")
        }
        guard let info = hosts.disk(number) else {
            throw refusal("nothing under /sys/dev/block/\(number) tells whether it is in use")
        }
        return info
    }

    /// Opens for the lock alone and takes it: the whole-disk node itself, as udev asks (systemd.io, "Locking Block
    /// Device Access"). It must be what `before` was.
    private func lock(_ before: stat) throws(DiskError) -> Descriptor {
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
        let operation = access == .readWrite ? LOCK_EX : LOCK_SH
        let deadline = Instant.after(seconds: lockTimeoutSeconds)
        while cl_flock(lock.number, operation | LOCK_NB) != 0 {
            let error = SystemError.current
            guard error.code == EWOULDBLOCK || error.code == EINTR else { throw failure(error) }
            guard Instant.now < deadline else {
                throw DiskError(.busy, path: path, reason: "another run, or another program, holds its lock")
            }
            waitAMoment()
        }
        return lock
    }

    /// Opens for the work. Direct where that may be and the kernel agrees.
    private func openWorking(mayBeDirect: Bool, exclusively: Int32) throws(DiskError) -> Descriptor {
        var direct = mayBeDirect ? cl_O_DIRECT : 0
        let deadline = Instant.after(seconds: exclusiveTimeoutSeconds)
        while true {
            do {
                // Without O_NONBLOCK: io_uring would answer EAGAIN on it instead of waiting.
                return try Descriptor(
                    opening: path, (access == .readWrite ? O_RDWR : O_RDONLY) | exclusively | direct)
            } catch {
                switch error.code {
                case EINVAL where direct != 0: direct = 0
                case EBUSY where Instant.now < deadline: waitAMoment()
                case EBUSY: throw refusal(Obstacle.openedExclusively.description)
                default: throw failure(error)
                }
            }
        }
    }

    /// Whether somebody, such as a file system of another mount namespace, has the disk for itself.
    private func isOpenedExclusively() -> Bool {
        do throws(SystemError) {
            _ = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK | O_EXCL)
            return false
        } catch {
            return error.code == EBUSY
        }
    }

    private struct Geometry {
        var sizeBytes: UInt64 = 0
        var logicalBlockSize = 0
        var physicalBlockSize = 0
        var isReadOnly = false
    }

    private func geometry(of disk: borrowing Descriptor) throws(DiskError) -> Geometry {
        var size: UInt64 = 0
        var logical: Int32 = 0
        var physical: UInt32 = 0
        var readOnly: Int32 = 0
        guard unsafe cl_block_size_bytes(disk.number, &size) == 0,
            unsafe cl_block_logical_size(disk.number, &logical) == 0,
            unsafe cl_block_physical_size(disk.number, &physical) == 0,
            unsafe cl_block_read_only(disk.number, &readOnly) == 0
        else { throw failure(.current) }
        return Geometry(
            sizeBytes: size, logicalBlockSize: Int(logical), physicalBlockSize: Int(physical), isReadOnly: readOnly != 0
        )
    }

    /// What direct I/O on a regular file asks for; 0 bytes of offset where there is none.
    private func directAlignment(_ file: borrowing Descriptor) -> (offsetBytes: Int, memoryBytes: Int) {
        var status = statx()
        guard unsafe cl_statx_direct_alignment(file.number, &status) == 0, status.stx_mask & CL_STATX_DIOALIGN != 0
        else {
            // Before Linux 6.1, and on file systems that do not say: what every one of them takes that takes any.
            return (4096, 4096)
        }
        return (Int(status.stx_dio_offset_align), max(Int(status.stx_dio_mem_align), 1))
    }

    private func status(_ file: borrowing Descriptor) throws(DiskError) -> stat {
        do {
            return try file.status()
        } catch {
            throw failure(error)
        }
    }

    private func resolved() -> String {
        guard let text = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(text) }
        // SAFETY: realpath returned a NUL-ended string that is ours to free.
        return unsafe String(cString: text)
    }

    private var verb: String { access == .compare ? "reading" : "writing" }

    // MARK: - Errors

    private func refusal(_ reason: String) -> DiskError { DiskError(.unusable, path: path, reason: reason) }

    private var changed: DiskError { refusal("it changed into another disk or file while it was being opened") }

    func failure(_ error: SystemError) -> DiskError {
        switch error.code {
        case EACCES, EPERM:
            DiskError(.notPermitted, path: path, reason: "opening it is not permitted (\(error)); disks need root")
        case ENOENT: refusal("there is no such disk or file")
        case EROFS: refusal(Obstacle.readOnly.description)
        case ENOMEDIUM, ENXIO: refusal("no medium in it, or nothing bound to it (\(error))")
        default: refusal("it cannot be opened: \(error)")
        }
    }
}
