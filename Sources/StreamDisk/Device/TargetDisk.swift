import CLinux
import Glibc

/// The open, locked target of a run: a whole disk, or a regular file used as one.
///
/// While it lives, no other run can take it (flock), udev ignores it, and, if it is a block device, nothing on it can be
/// mounted (O_EXCL). The descriptor may be used from any thread.
package struct TargetDisk: ~Copyable, Sendable {
    package enum Access: Sendable {
        /// Read-only, but passes every check that a writing run makes.
        case readOnly
        case readWrite
        /// Read-only. Also accepts a disk that is in use or write-protected; `notes` then says so.
        case compare
    }

    /// The path as the caller gave it.
    package let path: String
    /// The path without symbolic links.
    package let resolvedPath: String
    package let access: Access
    /// In bytes. For a regular file, rounded down to whole blocks.
    package let sizeBytes: UInt64
    /// The logical block size in bytes. Every offset and length of direct I/O is a multiple of it. For a regular file, the
    /// requirement's.
    package let blockBytes: Int
    /// Whether the descriptor has O_DIRECT.
    package let isDirect: Bool
    /// Buffer addresses must be a multiple of this; 1 without direct I/O.
    package let memoryAlignmentBytes: Int
    /// Notes for the user, such as why I/O is not direct.
    package let notes: [String]
    /// What sysfs reports about it; nil for a regular file.
    package let info: DiskInfo?

    /// The hints that it was selected by; empty without.
    package let hints: [DiskHint]
    /// All disks of the host when this one was selected; empty if it was named.
    package let considered: [ConsideredDisk]

    let hosts: HostDisks
    let lock: Descriptor
    let working: Descriptor
    let otherPaths: [HeldPath]

    /// The descriptor for reading and writing, open for as long as this value lives.
    package var fileDescriptor: Int32 { working.number }

    /// Without direct I/O: drops its pages from the page cache, so that the next reads come from the disk. Pages that are not
    /// flushed stay. Call it only while this value lives.
    var dropCache: @Sendable () -> Void {
        if isDirect { return {} }
        let descriptor = working.number
        return { _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
    }

    /// Throws if a regular file is shorter than when it was opened, or no longer what its path leads to. Another program
    /// truncated it, and later writes have extended it again, with holes; or removed it, or put another in its place.
    func expectWhole() throws(DiskIOError) {
        guard info == nil else { return }
        let cause: SystemError
        do throws(SystemError) {
            let own = try working.status()
            var named = stat()
            guard unsafe stat(resolvedPath, &named) == 0 else { throw .current }
            let isSame = FileIdentity(own) == FileIdentity(named)
            if isSame, UInt64(max(own.st_size, 0)) >= sizeBytes { return }
            cause = SystemError(isSame ? EIO : ESTALE)
        } catch {
            cause = error
        }
        throw DiskIOError(.write, path: path, offset: nil, lengthBytes: nil, cause: cause)
    }

    /// Closes the target. Throws errors of earlier writes that the kernel reports only now.
    ///
    /// Releases the lock first: udev probes the disk again when the descriptor that wrote is closed, and would skip a locked
    /// disk.
    package consuming func close() throws(DiskIOError) {
        let path = self.path
        try? lock.close()
        do {
            try working.close()
        } catch {
            throw DiskIOError(.close, path: path, offset: nil, lengthBytes: nil, cause: error)
        }
    }
}

/// The pause between two attempts to use something that is busy.
func waitAMoment() {
    usleep(50_000)
}
