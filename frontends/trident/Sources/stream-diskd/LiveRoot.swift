import Glibc

/// Whether this system runs from memory or a live medium, so that none of its disks is the one it runs from.
enum LiveRoot {
    /// More than any kernel takes as its command line; the root is among the first mounts.
    private static let sizeBytesMax = 64 << 10

    /// Throws unless the kernel's command line has `root=/dev/ram0` or `root=live:`, or neither has a `root=` nor is the root file
    /// system one of a disk.
    static func expect(kernelCommandLine path: String) throws(ServicingFailure) {
        guard let text = text(of: path) else {
            throw refusal("cannot tell whether this host is provisioned: \(path) cannot be read: \(errorText())")
        }
        if let root = root(in: text) {
            if !isLive(root) { throw provisioned(root) }
        } else if !isMountedLive() {
            throw provisioned("on a disk")
        }
    }

    private static func provisioned(_ root: String) -> ServicingFailure {
        refusal(
            "this host is provisioned: its root file system is \(root). Start it from memory or a live medium, or run the daemon "
                + "without --require-live-root")
    }

    /// An initramfs, or what live systems mount.
    private static let liveFileSystems = ["rootfs", "ramfs", "tmpfs", "overlay", "squashfs", "iso9660"]

    /// A host without `root=` may have found its root by the types of partitions (systemd-gpt-auto-generator(8)), or its initramfs
    /// knows it: what is mounted tells.
    private static func isMountedLive() -> Bool {
        // proc(5): the mount point is the fifth field, the type follows a lone dash. What was mounted last covers the others.
        let mounts = (text(of: "/proc/self/mountinfo") ?? "").split(separator: "\n").map { $0.split(separator: " ") }
        let root = mounts.last { $0.count > 4 && $0[4] == "/" } ?? []
        let type = root.firstIndex(of: "-").flatMap { root.dropFirst($0 + 1).first }
        return type.map { liveFileSystems.contains(String($0)) } ?? false
    }

    /// The last one counts, as for the kernel.
    static func root(in commandLine: String) -> String? {
        let key = "root="
        return commandLine.split(whereSeparator: \.isWhitespace).last { $0.hasPrefix(key) }.map {
            String($0.dropFirst(key.count))
        }
    }

    static func isLive(_ root: String) -> Bool { root == "/dev/ram0" || root.hasPrefix("live:") }

    private static func refusal(_ cause: String) -> ServicingFailure {
        ServicingFailure(.invalidInputError, "clean-install-on-provisioned-host", cause)
    }

    private static func text(of path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: sizeBytesMax)
        var count = 0
        while count < bytes.count {
            let got = unsafe bytes.withUnsafeMutableBytes {
                unsafe read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { return nil }
            if got == 0 { break }
            count += got
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
