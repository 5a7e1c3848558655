extension HostDisks {
    /// The file systems, of those that show the use of disks and files, that are not mounted.
    var missingTrees: [String] {
        [("/proc", "/self/mountinfo"), ("/sys", "/class/block")]
            .filter { !tree.exists($0.0 + $0.1) }.map { tree.prefix + $0.0 }
    }

    /// Throws `.useUnknown` if sysfs, where the kernel lists disks, is not mounted. An empty list of disks would then say
    /// nothing about the host.
    package func expectReadable() throws(DiskSelectionError) {
        guard missingTrees.contains(tree.prefix + "/sys") else { return }
        throw DiskSelectionError(
            .useUnknown, path: tree.prefix + "/sys",
            reason: "not mounted, so the disks of this host cannot be told; mount it: mount -t sysfs sysfs /sys")
    }
}
