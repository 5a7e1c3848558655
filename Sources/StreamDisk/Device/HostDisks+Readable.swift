extension HostDisks {
    /// What this host's uses of disks and files are read from, and is not there.
    var missingTrees: [String] {
        [("/proc", "/self/mountinfo"), ("/sys", "/class/block")]
            .filter { !tree.exists($0.0 + $0.1) }.map { tree.prefix + $0.0 }
    }

    /// Throws `.useUnknown` where this host's disks cannot be told, since sysfs, in which the kernel lists them, is not mounted:
    /// no disk found is then no word about the host.
    package func expectReadable() throws(DiskSelectionError) {
        guard missingTrees.contains(tree.prefix + "/sys") else { return }
        throw DiskSelectionError(
            .useUnknown, path: tree.prefix + "/sys",
            reason: "not mounted, so the disks of this host cannot be told; mount it: mount -t sysfs sysfs /sys")
    }
}
