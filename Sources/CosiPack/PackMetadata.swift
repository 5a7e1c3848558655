import CosiFormat
import StreamDisk

/// What the metadata of an image says: what was asked for, else what was found.
struct PackMetadata {
    let facts: SystemFacts
    let overrides: PackOverrides

    /// - Parameter warn: told what is not known and is made up for.
    func system(_ warn: (String) -> Void) throws(PackFault) -> PackInput.System {
        guard let arch = overrides.osArch ?? facts.osArch else {
            throw .request("the disk does not tell for which machine its system is: say x86_64 or arm64")
        }
        let release = overrides.osRelease ?? facts.osRelease
        if release == nil { warn("no os-release was found: the metadata has an empty one") }
        let packages = overrides.osPackages ?? facts.osPackages
        if packages == nil { warn("no list of packages was found: the metadata has an empty one") }
        let found = overrides.bootloader ?? facts.bootloader
        // The schema knows these two only, and systemd-boot takes entries.
        if found == nil || found?.type.isEmpty == true {
            warn("no boot loader was found: the metadata says grub, since the format has no word for none")
        }
        let loader = found.flatMap { $0.type.isEmpty ? nil : $0 } ?? CosiMetadata.Bootloader(type: "grub", entries: [])
        if loader.type == "systemd-boot", loader.entries.isEmpty {
            throw .request(
                "systemd-boot has no entry that could be read, and the format wants one: give it as bootloader of the metadata")
        }
        return PackInput.System(
            osArch: arch, osRelease: release ?? "", osPackages: packages ?? [], bootloader: loader, id: overrides.id)
    }

    /// What is said of a partition's file system. Nil for what nothing mounts: the format wants different mount points, so that at
    /// most one could be listed without.
    func filesystem(_ number: Int, _ signature: DiskContents.Signature?) -> PackInput.Filesystem? {
        let asked = overrides.filesystems[number]
        guard let mountPoint = asked?.mountPoint ?? facts.mountPoints[number], mountPoint.hasPrefix("/"),
            let type = asked?.fsType ?? signature?.type, let uuid = asked?.fsUUID ?? signature?.uuid, !type.isEmpty, !uuid.isEmpty
        else { return nil }
        let found = facts.verity.first { $0.dataPartition == number }.flatMap { tree in
            tree.rootHash.map { PackInput.Verity(hashNumber: tree.hashPartition, rootHash: $0) }
        }
        return PackInput.Filesystem(mountPoint: mountPoint, fsType: type, fsUUID: uuid, verity: asked?.verity ?? found)
    }

    /// Refuses what contradicts itself, and tells what a reader may miss.
    func check(_ partitions: [PackContents.Partition], _ warn: (String) -> Void) throws(PackFault) {
        let packed = Set(partitions.filter { $0.content != nil }.map(\.entry.number))
        guard !packed.isEmpty else { throw .request("no partition is left to be packed") }
        var mounts: [String: Int] = [:]
        var uuids: [String: Int] = [:]
        for partition in partitions {
            let number = partition.entry.number
            guard let filesystem = partition.filesystem else {
                let isAsked = packed.contains(number) && overrides.filesystems[number]?.mountPoint?.hasPrefix("/") == true
                if isAsked {
                    throw .request("partition \(number) has no known file system to be mounted: give its fsType and fsUuid, too")
                }
                continue
            }
            if let other = mounts.updateValue(number, forKey: filesystem.mountPoint) {
                throw .request("partitions \(other) and \(number) would both be mounted on \(filesystem.mountPoint)")
            }
            if let other = uuids.updateValue(number, forKey: filesystem.fsUUID.lowercased()) {
                warn(
                    "partitions \(other) and \(number) have the same UUID \(filesystem.fsUUID), where the format wants different ones"
                )
            }
            if let verity = filesystem.verity, !packed.contains(verity.hashNumber) {
                throw .request("partition \(number) has its hash tree in partition \(verity.hashNumber), which is not packed")
            }
        }
        if mounts["/"] == nil { warn("no root file system was found: name it with its mount point /") }
        let isBootable = partitions.contains { $0.entry.typeGUID == .efiSystemPartition && $0.filesystem != nil }
        if !isBootable { warn("no EFI system partition with a mount point: Trident refuses such images") }
    }
}
