import CLinux
import Glibc

/// Which file it is, by whatever name: the file system's device number and its number there (stat(2)).
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

    /// Of what lies at `path`, without opening it; nil when nothing does.
    init?(at path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}
