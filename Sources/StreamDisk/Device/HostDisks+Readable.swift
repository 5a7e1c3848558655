extension HostDisks {
    /// Throws `.useUnknown` where this host's disks cannot be told, since sysfs, in which the kernel lists them, is not mounted:
    /// no disk found is then no word about the host.
    public func expectReadable() throws(DiskSelectionError) {
        guard !tree.exists("/sys/class/block") else { return }
        throw DiskSelectionError(
            .useUnknown, path: tree.prefix + "/sys",
            reason: "not mounted, so the disks of this host cannot be told; mount it: mount -t sysfs sysfs /sys")
    }
}
