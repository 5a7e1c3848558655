import Glibc

/// The file or block device of this host that an image is read from.
public struct LocalOrigin: Sendable, Hashable {
    let file: FileIdentity
    /// Its own number, where it is a block device.
    let device: DeviceNumber?
}

extension LocalOrigin {
    /// From what fstat(2) tells of the opened file.
    init(_ status: stat) {
        file = FileIdentity(status)
        device = status.st_mode & S_IFMT == S_IFBLK ? DeviceNumber(status.st_rdev) : nil
    }
}
