import Glibc

/// The file or block device of this host that holds the image.
package struct LocalOrigin: Sendable, Hashable {
    let file: FileIdentity
    /// The number of the device, if it is a block device.
    let device: DeviceNumber?
}

extension LocalOrigin {
    /// From fstat(2) of the open file.
    init(_ status: stat) {
        file = FileIdentity(status)
        device = status.st_mode & S_IFMT == S_IFBLK ? DeviceNumber(status.st_rdev) : nil
    }
}
