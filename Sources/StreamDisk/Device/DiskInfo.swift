/// A whole disk of this host, or a partition of one, as sysfs tells of it, and what stands against writing onto it.
public struct DiskInfo: Sendable, Equatable {
    /// The kernel's name, such as `sda`.
    public internal(set) var name: String
    /// The device node, such as `/dev/sda`.
    public internal(set) var path: String
    package var number: DeviceNumber
    /// 0 where no medium is in it.
    public internal(set) var sizeBytes: UInt64
    /// The unit the kernel counts in, in bytes: what an image's must be equal to.
    public internal(set) var blockBytes: Int
    /// The unit the disk writes in, in bytes.
    public internal(set) var physicalBlockBytes: Int
    /// Its maker, where the kernel tells.
    public internal(set) var vendor: String?
    /// Its model, where the kernel tells.
    public internal(set) var model: String?
    /// Its serial number, where the kernel tells.
    public internal(set) var serial: String?
    /// World-wide identifier, as sysfs writes it: `naa.5000c500…`, `eui.0025…`, `t10.ATA …`.
    public internal(set) var wwid: String?
    /// How it is attached: sata, sas, scsi, usb, nvme, virtio, mmc, xen, or over a network iscsi, fc, nvme-tcp, nvme-rdma, nvme-fc.
    public internal(set) var transport: String?
    /// The names under /dev/disk that lead to it, in order.
    public internal(set) var links: [String] = []
    /// Whether the kernel takes its medium for removable, or does not say.
    public internal(set) var isRemovable: Bool
    /// Whether the kernel refuses writes to it, or does not say.
    public internal(set) var isReadOnly: Bool
    /// Whether it turns.
    public internal(set) var isRotational: Bool
    /// What the address of a buffer must be a multiple of, as the driver asks (`dma_alignment` + 1).
    package var dmaAlignmentBytes: Int
    /// Counts up with each medium or device that takes this place (`diskseq`, Linux 5.15).
    package var sequence: UInt64?
    /// Where a partition lies; nil for a whole disk.
    package internal(set) var place: Place?
    /// What stands against it, whatever the image.
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

    /// Everything that stands against writing an image of this requirement onto it.
    ///
    /// - Parameter isNamed: it was asked for by its path, so what only forbids choosing it by itself does not count.
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

    /// The same for every path to one disk, and for no other disk; nil where it does not tell.
    var identity: String? {
        // Behind the kind of identifier all zeros are nobody's.
        if let wwid, wwid.drop(while: { $0 != "." }).contains(where: { $0.isHexDigit && $0 != "0" }) { return wwid }
        guard let serial else { return nil }
        return [vendor ?? "", model ?? "", serial, "\(sizeBytes)"].joined(separator: "\0")
    }

    /// Whether `other` is the same disk, and not one that took its name or number since.
    func isSameDisk(as other: DiskInfo) -> Bool {
        name == other.name && number == other.number && sizeBytes == other.sizeBytes
            && blockBytes == other.blockBytes && serial == other.serial && sequence == other.sequence && place == other.place
    }
}

/// What an image asks of a disk.
package struct DiskRequirement: Sendable, Equatable {
    /// At least so many bytes.
    package let sizeBytes: UInt64
    /// Exactly this logical block size, in bytes: the one the image's partition table counts in.
    package let blockBytes: Int

    /// - Precondition: `blockBytes` is a power of two from 512 on.
    package init(sizeBytes: UInt64, blockBytes: Int) {
        precondition(blockBytes >= 512 && blockBytes & (blockBytes - 1) == 0)
        self.sizeBytes = sizeBytes
        self.blockBytes = blockBytes
    }
}
