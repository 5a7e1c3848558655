/// A whole disk of this host as sysfs describes it, and the reasons not to write to it.
public struct DiskInfo: Sendable, Equatable {
    /// The kernel's name, such as `sda`.
    package internal(set) var name: String
    /// The device node, such as `/dev/sda`.
    public internal(set) var path: String
    package var number: DeviceNumber
    /// 0 if there is no medium.
    public internal(set) var sizeBytes: UInt64
    /// Logical block size in bytes. The image's block size must equal it.
    public internal(set) var blockBytes: Int
    /// Physical block size in bytes.
    package internal(set) var physicalBlockBytes: Int
    /// The vendor, if the kernel reports one.
    package internal(set) var vendor: String?
    /// The model, if the kernel reports one.
    public internal(set) var model: String?
    /// The serial number, if the kernel reports one.
    public internal(set) var serial: String?
    /// World-wide identifier as sysfs writes it: `naa.5000c500…`, `eui.0025…`, `t10.ATA …`.
    package internal(set) var wwid: String?
    /// The transport: sata, sas, scsi, usb, nvme, virtio, mmc or xen; over a network iscsi, fc, nvme-tcp, nvme-rdma or nvme-fc.
    package internal(set) var transport: String?
    /// The links below /dev/disk that lead to it, sorted.
    package internal(set) var links: [String] = []
    /// Whether the kernel reports the medium as removable, or reports nothing.
    package internal(set) var isRemovable: Bool
    /// Whether the kernel refuses writes to it, or reports nothing.
    package internal(set) var isReadOnly: Bool
    /// Whether it is a hard disk.
    package internal(set) var isRotational: Bool
    /// Buffer addresses must be a multiple of this, as the driver requires (`dma_alignment` + 1).
    package var dmaAlignmentBytes: Int
    /// Incremented by the kernel for each medium or device that takes this place (`diskseq`, Linux 5.15).
    package var sequence: UInt64?
    /// Where a partition lies; nil for a whole disk.
    package internal(set) var place: Place?
    /// The reasons not to write to it, whatever the image.
    public internal(set) var obstacles: [DiskRejection]

    /// A partition's place on its disk.
    package struct Place: Sendable, Equatable {
        package let diskName: String
        /// The disk's device node.
        package let diskPath: String
        let disk: DeviceNumber
        let bytes: Range<UInt64>
    }

    /// A loop device that nothing is bound to, and its like: no disk to a person.
    package var isUnbound: Bool { sizeBytes == 0 && obstacles.contains(.wrongKind(name: name)) }

    /// All reasons not to write an image with this requirement to it.
    ///
    /// - Parameter isNamed: the user named it, so reasons that only prevent automatic selection are left out.
    package func obstacles(to requirement: DiskRequirement, isNamed: Bool) -> [DiskRejection] {
        var all = obstacles.filter { !(isNamed && $0.isForChoiceOnly) }
        guard sizeBytes > 0 else { return all }
        if blockBytes != requirement.blockBytes {
            all.append(.wrongBlockSize(need: requirement.blockBytes, has: blockBytes))
        }
        if sizeBytes < requirement.sizeBytes {
            all.append(.tooSmall(need: requirement.sizeBytes, has: sizeBytes))
        }
        // Writes of whole blocks would be writes of parts of two.
        let unit = UInt64(max(physicalBlockBytes, blockBytes, 1))
        if let place, place.bytes.lowerBound % unit != 0 {
            all.append(.misaligned(startBytes: place.bytes.lowerBound, blockBytes: Int(unit)))
        }
        return all
    }

    /// Equal for all paths to one disk and different for any other disk; nil if the disk reports no identity.
    var identity: String? {
        // Identifiers that are all zeros after their type prefix identify nothing.
        if let wwid, wwid.drop(while: { $0 != "." }).contains(where: { $0.isHexDigit && $0 != "0" }) { return wwid }
        guard let serial else { return nil }
        return [vendor ?? "", model ?? "", serial, "\(sizeBytes)"].joined(separator: "\0")
    }

    /// Whether `other` is the same disk, and not one that has taken over its name or number.
    func isSameDisk(as other: DiskInfo) -> Bool {
        name == other.name && number == other.number && sizeBytes == other.sizeBytes
            && blockBytes == other.blockBytes && serial == other.serial && sequence == other.sequence && place == other.place
    }
}

/// What an image requires of a disk.
package struct DiskRequirement: Sendable, Equatable {
    /// The minimum size.
    package let sizeBytes: UInt64
    /// The exact logical block size in bytes: the unit of the image's partition table.
    package let blockBytes: Int

    /// - Precondition: `blockBytes` is a power of two, at least 512.
    package init(sizeBytes: UInt64, blockBytes: Int) {
        precondition(blockBytes >= 512 && blockBytes & (blockBytes - 1) == 0)
        self.sizeBytes = sizeBytes
        self.blockBytes = blockBytes
    }
}
