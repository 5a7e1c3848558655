import CLinux
import Glibc

/// The kernel's number of a block device: major and minor, written "8:16" as under /sys/dev/block.
package struct DeviceNumber: Hashable, Sendable, CustomStringConvertible {
    package let major: UInt32
    package let minor: UInt32

    package init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// Parses "8:16".
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    /// From the `st_rdev` of a device node.
    init(_ device: dev_t) {
        self.init(major: cl_major(device), minor: cl_minor(device))
    }

    package var description: String { "\(major):\(minor)" }
}
