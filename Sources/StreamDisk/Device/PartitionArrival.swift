import CosiFormat

/// Waits until new partitions appear in /dev: the kernel creates their nodes, and udev, if it runs, their links.
///
/// udev ignores a locked disk. When the lock is released it reads the table again, and nodes and links briefly disappear. So a
/// program that uses them right after the run needs this wait, and it can only start once the disk is closed.
struct PartitionArrival: Sendable {
    struct Expected: Sendable {
        /// The GPT entry's number, from 1.
        let number: Int
        let guid: String
    }

    let hosts: HostDisks
    let diskName: String
    let partitions: [Expected]
    var timeoutSeconds = 5.0
    /// With udev, everything must stay unchanged for this long.
    var settledSeconds = 0.25

    /// For a disk whose new table the kernel has just read. Nil if the kernel shows no partitions (no GPT support, a regular
    /// file, a loop device without partition scan): there is nothing to wait for.
    init?(on target: borrowing TargetDisk, _ table: GPT) {
        guard let info = target.info, !target.hosts.partitions(of: info.name).isEmpty else { return nil }
        self.init(
            hosts: target.hosts, diskName: info.name,
            partitions: table.partitions.map { Expected(number: $0.number, guid: "\($0.uniqueGUID)") })
    }

    init(hosts: HostDisks, diskName: String, partitions: [Expected]) {
        self.hosts = hosts
        self.diskName = diskName
        self.partitions = partitions
    }

    /// Waits until all partitions are there, or until the timeout.
    ///
    /// - Returns: a description of what is missing or points elsewhere; nil if all is well.
    func wait() -> String? {
        let hasUdev = hosts.tree.exists("/run/udev/control")
        let deadline = Instant.after(seconds: timeoutSeconds)
        var settled: Instant?
        while true {
            let now = look(hasUdev: hasUdev)
            let isQuiet = now.missing.isEmpty && !(hasUdev && hosts.tree.exists("/run/udev/queue"))
            if !isQuiet { settled = nil } else if settled == nil { settled = Instant.after(seconds: settledSeconds) }
            if isQuiet, !hasUdev || settled.map({ Instant.now >= $0 }) == true {
                guard !now.elsewhere.isEmpty else { return nil }
                return "other partitions of this host have the same GUIDs: links that lead to them: "
                    + now.elsewhere.joined(separator: ", ")
            }
            guard Instant.now < deadline else {
                let what = now.missing.isEmpty ? "udev is still at work" : "not there yet: " + now.missing.joined(separator: ", ")
                return "the new partitions have not settled after \(Int(timeoutSeconds)) seconds: \(what)"
            }
            waitAMoment()
        }
    }

    private func look(hasUdev: Bool) -> (missing: [String], elsewhere: [String]) {
        let tree = hosts.tree
        let known = Dictionary(hosts.partitions(of: diskName).map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        var missing: [String] = []
        var elsewhere: [String] = []
        for partition in partitions {
            guard let kernel = known[partition.number], let device = kernel.device else {
                missing.append("partition \(partition.number)")
                continue
            }
            let node = "/dev/" + String(kernel.name.map { $0 == "!" ? "/" : $0 })
            if blockDeviceNumber(tree.prefix + node) != device { missing.append(node) }
            guard hasUdev else { continue }
            let link = "/dev/disk/by-partuuid/\(partition.guid)"
            switch blockDeviceNumber(tree.prefix + link) {
            case nil: missing.append(link)
            case device: break
            default: elsewhere.append(link)
            }
        }
        return (missing, elsewhere)
    }
}
