import CLinux
import Glibc

/// A disk, partition or file that is read for content that an image has, too. Nothing is ever written to it.
///
/// While this value lives it holds the shared lock (flock(2)) that udev and partitioning tools respect, so no other run can
/// begin to write it. A mounted file system may change: whoever reads a frame here checks its hash.
package final class SeedFile: Sendable {
    /// The path as the caller gave it.
    package let path: String
    package let sizeBytes: UInt64
    private let file: Descriptor

    /// Opens what is at `path`. Blocks for about three seconds at most while another program holds its lock.
    ///
    /// - Parameter targets: paths of what the run writes. A seed that shares bytes with one of them is refused.
    /// - Throws: `.inUse` if it is a target, or another run is writing it.
    package static func open(path: String, besides targets: [String]) throws(DiskSelectionError) -> SeedFile {
        let opening = Opening(path: path, requirement: DiskRequirement(sizeBytes: 0, blockBytes: 512), access: .compare)
        let before = try opening.look()
        guard [S_IFBLK, S_IFREG].contains(before.st_mode & S_IFMT) else {
            throw opening.refusal(.notADisk, "neither a block device nor a regular file")
        }
        for target in targets {
            var status = stat()
            guard unsafe stat(target, &status) == 0, opening.hosts.share(before, status) else { continue }
            throw opening.refusal(.inUse, "it shares bytes with \(target), which is written; name another seed, or none")
        }
        return try SeedFile(opening, before)
    }

    private init(_ opening: Opening, _ before: stat) throws(DiskSelectionError) {
        let file = try opening.lock(before)
        sizeBytes =
            before.st_mode & S_IFMT == S_IFBLK
            ? try opening.geometry(of: file).sizeBytes : UInt64(max(try opening.status(file).st_size, 0))
        path = opening.path
        _ = fcntl(file.number, F_SETFL, 0)
        self.file = file
    }

    /// Reads `count` bytes from `offset` into `buffer` at `place`. Throws EIO where the file ends before.
    ///
    /// May be called on any thread.
    package func read(_ offset: UInt64, count: Int, into buffer: DirectBuffer, at place: Int) throws(SystemError) {
        var done = 0
        while done < count {
            // SAFETY: `address` checks that so many bytes lie there, and the caller lets no other thread use them.
            let result = unsafe pread(
                file.number, buffer.address(place + done, count: count - done), count - done, off_t(offset) + off_t(done))
            if result > 0 {
                done += result
            } else {
                let cause = result == 0 ? SystemError(EIO) : SystemError.current
                guard cause.code == EINTR else { throw cause }
            }
        }
    }

    /// It is about to be read from start to end. Only speed depends on it.
    package func willReadAll() { posix_fadvise(file.number, 0, 0, POSIX_FADV_SEQUENTIAL) }
}
