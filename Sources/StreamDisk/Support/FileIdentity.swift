import CLinux
import Glibc

/// Identifies a file whatever its name: the file system's device number and the inode number (stat(2)).
struct FileIdentity: Hashable, Sendable {
    let device: DeviceNumber
    let inode: UInt64

    init(device: DeviceNumber, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    init(_ status: stat) {
        self.init(device: DeviceNumber(status.st_dev), inode: UInt64(status.st_ino))
    }

    /// The identity of the file at `path`, without opening it; nil if there is none.
    init?(at path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}
