import CLinux
import Glibc

/// The opened, locked target of a run: a whole disk, or a regular file taken for one.
///
/// While it lives, no other run of this program gets it (flock), udev leaves it alone, and, where it is a block device,
/// nothing can be mounted from it (O_EXCL). The descriptor may be used from any thread.
package struct TargetDisk: ~Copyable, Sendable {
    package enum Access: Sendable {
        /// Only reads, but after every check that a run which writes would make.
        case readOnly
        case readWrite
        /// Only reads, and harms nobody by it: also a disk that is in use or read-only, of which the notes tell.
        case compare
    }

    /// As it was asked for.
    package let path: String
    /// Without symbolic links.
    package let resolvedPath: String
    package let access: Access
    /// Of a regular file: whole blocks only.
    package let sizeBytes: UInt64
    /// Every offset and length of direct I/O is a multiple of it. Of a regular file: the requirement's.
    package let blockBytes: Int
    /// Whether O_DIRECT is on.
    package let isDirect: Bool
    /// What the address of a buffer must be a multiple of; 1 where I/O is not direct.
    package let memoryAlignmentBytes: Int
    /// What a person may want to know, such as why I/O is not direct.
    package let notes: [String]
    /// What sysfs tells of it; nil for a regular file.
    package let info: DiskInfo?

    /// All disks of the host when this one was chosen; empty for one that was named.
    package let considered: [ConsideredDisk]

    let hosts: HostDisks
    let lock: Descriptor
    let working: Descriptor
    let otherPaths: [HeldPath]

    /// The descriptor to read and write with, open as long as this value lives.
    package var fileDescriptor: Int32 { working.number }

    /// Where I/O is not direct: forgets what the page cache has of it, so that the next reads ask the disk. What is not
    /// flushed stays. To be called while this value lives.
    var dropCache: @Sendable () -> Void {
        if isDirect { return {} }
        let descriptor = working.number
        return { _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
    }

    /// Throws when a regular file is shorter than it was when it was opened: somebody has cut it, and later writes have made it long
    /// again, with holes.
    func expectWhole() throws(DiskIOError) {
        guard info == nil else { return }
        do throws(SystemError) {
            guard try UInt64(max(working.status().st_size, 0)) < sizeBytes else { return }
        } catch {
            throw DiskIOError(.write, path: path, offset: nil, lengthBytes: nil, cause: error)
        }
        throw DiskIOError(.write, path: path, offset: nil, lengthBytes: nil, cause: SystemError(EIO))
    }

    /// Lets go of it. Throws what the kernel tells of earlier writes only now.
    ///
    /// The lock goes first: udev looks at the disk again when the descriptor that wrote is closed, and would skip a
    /// locked one.
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

/// Between two tries of something that is busy.
func waitAMoment() {
    usleep(50_000)
}
