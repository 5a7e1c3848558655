import CLinux
import Glibc

/// The backing of a loop device: a file or another block device.
struct LoopBacking: Sendable {
    /// The kernel's name, such as loop3.
    let name: String
    /// The kernel's path for it. It can be wrong in another mount namespace, or after the file was removed.
    let path: String
    let file: FileIdentity?
    let device: DeviceNumber?

    /// All loop devices that have a backing.
    static func all(of tree: HostFiles) -> [LoopBacking] {
        tree.blockDevices().filter { $0.hasPrefix("loop") }.compactMap { LoopBacking(named: $0, of: tree) }
    }

    /// Nil if the device has no backing, or is not a loop device.
    init?(named name: String, of tree: HostFiles) {
        // This file is absent if the device has no backing.
        guard let path = tree.text("/sys/class/block/\(name)/loop/backing_file") else { return nil }
        self.name = name
        self.path = tree.prefix + path
        // Device and inode numbers are always right, unlike the path.
        if let info = Self.status(of: name, tree) {
            let isDevice = info.lo_rdevice != 0
            device = isDevice ? DeviceNumber(dev_t(info.lo_rdevice)) : nil
            file = isDevice ? nil : FileIdentity(device: DeviceNumber(dev_t(info.lo_device)), inode: info.lo_inode)
        } else {
            device = tree.number(ofDevice: path)
            file = device == nil ? FileIdentity(at: self.path) : nil
        }
    }

    /// loop(4), LOOP_GET_STATUS64; nil if the node is missing, belongs to another device, or may not be opened.
    private static func status(of name: String, _ tree: HostFiles) -> loop_info64? {
        guard let number = tree.deviceNumber("/sys/class/block/\(name)/dev"),
            blockDeviceNumber(tree.prefix + "/dev/\(name)") == number,
            let node = try? Descriptor(opening: tree.prefix + "/dev/\(name)", O_RDONLY | O_NONBLOCK)
        else { return nil }
        var info = loop_info64()
        return unsafe cl_loop_status(node.number, &info) == 0 ? info : nil
    }
}
