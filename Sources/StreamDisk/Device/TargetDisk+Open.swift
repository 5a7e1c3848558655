import CLinux
import Glibc

extension TargetDisk {
    /// Opens and locks the target at `path`: a whole disk (also a loop device, also by a symbolic link) or a regular file.
    ///
    /// The order is: look, lock, look again, open exclusively, and check that the target is still the same. Writes nothing.
    /// Blocks for about five seconds at most while another program holds a lock or has the disk open.
    ///
    /// Throws `.busy` if another run holds the lock, `.notPermitted` if the kernel denies access, or else an error that names
    /// the problem.
    ///
    /// - Parameter source: where the image is read from. It is refused as a target.
    package static func open(
        path: String, requirement: DiskRequirement, access: Access, source: LocalOrigin? = nil
    ) throws(DiskSelectionError) -> TargetDisk {
        try Opening(path: path, requirement: requirement, access: access, source: source).open()
    }

    /// Opens and locks `path` as the target of one partition's image: a whole disk without partitions, a partition that is not in
    /// use (its disk may be), or a regular file.
    ///
    /// Like `open`. The lock on a partition is exclusive; the lock on its disk is shared, so several runs may write partitions of
    /// one disk, but none may write the whole disk at that time.
    ///
    /// - Parameter heldByRun: other paths that this run's other targets hold.
    static func openRegion(
        path: String, requirement: DiskRequirement, access: Access, source: LocalOrigin? = nil, heldByRun: [HeldPath] = [],
        hosts: HostDisks = HostDisks()
    ) throws(DiskSelectionError) -> TargetDisk {
        try Opening(
            path: path, requirement: requirement, access: access, source: source, isRegion: true, heldByRun: heldByRun,
            hosts: hosts
        ).open()
    }

    /// Opens and locks the smallest disk that fits and has no obstacles.
    ///
    /// Never takes the next disk in its place. If another program is using the disk, a caller that waits gets it later, and one
    /// that does not wait must not overwrite another disk. Throws like `open`, with `.busy` if any program is using the disk,
    /// and `.noneFits` with every disk and its reasons.
    package static func openSmallest(
        matching hints: [DiskHint] = [], requirement: DiskRequirement, access: Access, source: LocalOrigin? = nil,
        hosts: HostDisks = HostDisks()
    ) throws(DiskSelectionError) -> TargetDisk {
        try hosts.expectReadable()
        let disks = hosts.list(source: source)
        let chosen = try HostDisks.choose(among: disks, for: requirement, matching: hints)
        return try Opening(
            path: chosen.path, requirement: requirement, access: access, source: source, hosts: hosts, chosen: chosen,
            hints: hints, considered: HostDisks.consider(disks, for: requirement, matching: hints)
        ).open()
    }
}

/// One opening of a target, step by step.
struct Opening {
    let path: String
    let requirement: DiskRequirement
    let access: TargetDisk.Access
    var source: LocalOrigin?
    /// Whether the target is for one partition's image and may be a partition.
    var isRegion = false
    var heldByRun: [HeldPath] = []
    var hosts = HostDisks()
    /// The disk as it was when it was selected automatically; nil if the user named it.
    var chosen: DiskInfo?
    /// The hints that the disk was selected by.
    var hints: [DiskHint] = []
    /// All disks of the host at that time.
    var considered: [ConsideredDisk] = []
    /// udev holds the lock briefly while it probes; another run holds it for minutes.
    var lockTimeoutSeconds = 3.0
    /// Partitioning tools and the kernel's partition scan briefly open the disk exclusively, too.
    var exclusiveTimeoutSeconds = 1.0

    func open() throws(DiskSelectionError) -> TargetDisk {
        let before = try look()
        if let chosen {
            // Not a file that merely lies where the node should be.
            guard before.st_mode & S_IFMT == S_IFBLK, DeviceNumber(before.st_rdev) == chosen.number else {
                throw refusal(.changed, "what lies there is not the disk \(chosen.name)")
            }
        }
        switch before.st_mode & S_IFMT {
        case S_IFBLK: return try openDisk(before)
        case S_IFREG: return try openFile(before)
        case S_IFDIR: throw refusal(.notADisk, "a directory, not a disk")
        case S_IFCHR: throw refusal(.notADisk, "a character device, not a disk")
        case S_IFIFO: throw refusal(.notADisk, "a pipe, not a disk")
        default: throw refusal(.notADisk, "neither a block device nor a regular file")
        }
    }

    private func openDisk(_ before: stat) throws(DiskSelectionError) -> TargetDisk {
        let number = DeviceNumber(before.st_rdev)
        let first = try hardware(number)
        if let chosen, !chosen.isSameDisk(as: first) { throw changed }

        // The disk is locked first, in the same order as by a run that wants all of it.
        let diskLock = try lockDisk(of: first)
        let lock = try lock(before)
        // The rejections are final only under the lock: before, another run could still have been using the disk.
        let info = try disk(number)
        guard info.isSameDisk(as: first) else { throw changed }
        // Locking and opening detect transient uses. The list would include this run's own lock.
        let isNamed = chosen == nil || hints.contains(where: \.namesDisk)
        var obstacles = info.obstacles(to: requirement, isNamed: isNamed).filter { !$0.isPassing }
        if isRegion, info.place == nil {
            let partitions = hosts.partitions(of: info.name).map(\.name)
            if !partitions.isEmpty { obstacles.append(.partitioned(names: partitions)) }
        }
        var notes: [String] = []
        if access == .compare {
            if obstacles.isEmpty, isByteLocked(lock) { obstacles.append(.byteLocked) }
            if obstacles.isEmpty, isOpenedExclusively() { obstacles.append(.openedExclusively) }
            notes = obstacles.compactMap(noteForComparing)
            obstacles.removeAll(where: \.isForWritingOnly)
        }
        guard obstacles.isEmpty else { throw refusal(obstacles) }
        if access != .compare { try expectNoByteLock(lock) }

        let otherPaths = diskLock + (access == .compare ? [] : try holdOtherPaths(to: info))
        let working = try openWorking(mayBeDirect: true, exclusively: access == .compare ? 0 : O_EXCL)
        let isDirect = working.isDirect
        guard DeviceNumber(try status(working).st_rdev) == number else { throw changed }
        let geometry = try geometry(of: working)
        guard geometry.sizeBytes == info.sizeBytes, geometry.blockBytes == info.blockBytes,
            geometry.sequence == nil || info.sequence == nil || geometry.sequence == info.sequence,
            // Others are now locked out. What changed just before shows here.
            try hardware(number).isSameDisk(as: info)
        else { throw changed }
        guard !geometry.isReadOnly || access == .compare else { throw refusal([.readOnly]) }
        // Before Linux 6.0, memory had to be aligned to the block size.
        let alignment = isDirect ? max(info.dmaAlignmentBytes, info.blockBytes) : 1
        try expectAlignment(alignment)
        return TargetDisk(
            path: path, resolvedPath: try resolved(before), access: access, sizeBytes: info.sizeBytes,
            blockBytes: info.blockBytes, isDirect: isDirect, memoryAlignmentBytes: alignment,
            notes: isDirect ? notes : notes + ["the device refuses direct I/O: \(verb) through the page cache"],
            info: info, hints: hints, considered: considered, hosts: hosts, lock: lock, working: working, otherPaths: otherPaths)
    }

    private func openFile(_ before: stat) throws(DiskSelectionError) -> TargetDisk {
        let lock = try lock(before)
        var notes: [String] = []
        let uses = hosts.uses(ofFile: FileIdentity(before), source: source)
        if access == .compare {
            notes = (uses + (isByteLocked(lock) ? [.byteLocked] : [])).compactMap(noteForComparing)
        } else {
            guard uses.isEmpty else { throw refusal(uses) }
            try expectNoByteLock(lock)
            // Often neither is mounted where images are built, such as in a chroot.
            let missing = hosts.missingTrees
            if !missing.isEmpty {
                notes.append(
                    "\(missing.joined(separator: " and ")): not mounted, so it cannot be told whether this file is swap space "
                        + "or under a loop device")
            }
        }
        let direct = directAlignment(lock)
        let suits = direct.offsetBytes > 0 && requirement.blockBytes % direct.offsetBytes == 0
        let working = try openWorking(mayBeDirect: suits, exclusively: 0)
        let isDirect = working.isDirect
        let after = try status(working)
        guard after.st_dev == before.st_dev, after.st_ino == before.st_ino else { throw changed }
        let size = UInt64(max(after.st_size, 0))
        let usable = size - size % UInt64(requirement.blockBytes)
        guard usable >= requirement.sizeBytes else {
            throw refusal([.tooSmall(need: requirement.sizeBytes, has: size)])
        }
        if !suits, direct.offsetBytes > 0 {
            let blocks = "\(direct.offsetBytes)-byte blocks, the image counts in \(requirement.blockBytes)"
            notes.append("direct I/O on this file needs \(blocks): \(verb) through the page cache")
        } else if !isDirect {
            notes.append("the file system refuses direct I/O: \(verb) through the page cache")
        }
        if usable != size { notes.append("the last \(size - usable) bytes are no whole block and stay as they are") }
        let alignment = isDirect ? direct.memoryBytes : 1
        try expectAlignment(alignment)
        return TargetDisk(
            path: path, resolvedPath: try resolved(before), access: access, sizeBytes: usable,
            blockBytes: requirement.blockBytes, isDirect: isDirect, memoryAlignmentBytes: alignment, notes: notes,
            info: nil, hints: [], considered: [], hosts: hosts, lock: lock, working: working, otherPaths: [])
    }
}
