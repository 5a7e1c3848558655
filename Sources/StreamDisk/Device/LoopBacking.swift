import CLinux
import Glibc

/// What a loop device lies over: a file, or another block device.
struct LoopBacking: Sendable {
    /// The kernel's name, such as loop3.
    let name: String
    /// By the kernel's name for it, which leads astray in another mount namespace or once it was removed.
    let path: String
    let file: FileIdentity?
    let device: DeviceNumber?

    /// All that are bound to something.
    static func all(of tree: HostFiles) -> [LoopBacking] {
        tree.blockDevices().filter { $0.hasPrefix("loop") }.compactMap { LoopBacking(named: $0, of: tree) }
    }

    /// Nil when nothing is bound to it, or it is no loop device.
    init?(named name: String, of tree: HostFiles) {
        // Absent where nothing is bound to it.
        guard let path = tree.text("/sys/class/block/\(name)/loop/backing_file") else { return nil }
        self.name = name
        self.path = tree.prefix + path
        // Numbers never lead astray.
        if let info = Self.status(of: name, tree) {
            let isDevice = info.lo_rdevice != 0
            device = isDevice ? DeviceNumber(dev_t(info.lo_rdevice)) : nil
            file = isDevice ? nil : FileIdentity(device: DeviceNumber(dev_t(info.lo_device)), inode: info.lo_inode)
        } else {
            device = tree.number(ofDevice: path)
            file = device == nil ? FileIdentity(at: self.path) : nil
        }
    }

    /// loop(4), LOOP_GET_STATUS64; nil where its node is missing, another's, or may not be opened.
    private static func status(of name: String, _ tree: HostFiles) -> loop_info64? {
        guard let number = tree.deviceNumber("/sys/class/block/\(name)/dev"),
            blockDeviceNumber(tree.prefix + "/dev/\(name)") == number,
            let node = try? Descriptor(opening: tree.prefix + "/dev/\(name)", O_RDONLY | O_NONBLOCK)
        else { return nil }
        var info = loop_info64()
        return unsafe cl_loop_status(node.number, &info) == 0 ? info : nil
    }
}
