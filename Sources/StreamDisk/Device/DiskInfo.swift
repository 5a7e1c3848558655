/// A whole disk of this host, as sysfs tells of it, and what stands against writing onto it.
public struct DiskInfo: Sendable, Equatable {
    /// The kernel's name, such as `sda`.
    public var name: String
    /// The device node, such as `/dev/sda`.
    public var path: String
    public var number: DeviceNumber
    public var sizeBytes: UInt64
    public var logicalBlockSize: Int
    public var physicalBlockSize: Int
    public var vendor: String?
    public var model: String?
    public var serial: String?
    /// World-wide identifier, as sysfs writes it: `naa.5000c500…`, `eui.0025…`, `t10.ATA …`.
    public var wwid: String?
    /// How it is attached: sata, sas, scsi, usb, nvme, virtio, mmc, xen, or over a network iscsi, fc, nvme-tcp, nvme-rdma, nvme-fc.
    public var transport: String?
    /// The names under /dev/disk that lead to it, in order.
    public var links: [String] = []
    public var isRemovable: Bool
    public var isReadOnly: Bool
    public var isRotational: Bool
    /// The largest request the kernel sends to it, in KiB (`max_sectors_kb`).
    public var maxSectorsKB: Int?
    /// Requests the kernel queues (`nr_requests`).
    public var queueDepth: Int?
    /// What the address of a buffer must be a multiple of, as the driver asks (`dma_alignment` + 1).
    public var dmaAlignmentBytes: Int
    /// Counts up with each medium or device that takes this place (`diskseq`, Linux 5.15).
    public var sequence: UInt64?
    /// What stands against it, whatever the image.
    public var obstacles: [DiskRejection]

    /// A loop device that nothing is bound to, and its like: no disk to a person.
    public var isUnbound: Bool { sizeBytes == 0 && obstacles.contains(.wrongKind(name: name)) }

    public var major: UInt32 { number.major }
    public var minor: UInt32 { number.minor }

    /// Everything that stands against writing an image of this requirement onto it.
    ///
    /// - Parameter isNamed: it was asked for by its path, so what only forbids choosing it by itself does not count.
    public func obstacles(to requirement: DiskRequirement, isNamed: Bool) -> [DiskRejection] {
        var all = obstacles.filter { !(isNamed && $0.isForChoiceOnly) }
        guard sizeBytes > 0 else { return all }
        if logicalBlockSize != requirement.logicalBlockSize {
            all.append(.wrongBlockSize(need: requirement.logicalBlockSize, has: logicalBlockSize))
        }
        if sizeBytes < requirement.sizeBytes {
            all.append(.tooSmall(need: requirement.sizeBytes, has: sizeBytes))
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
            && logicalBlockSize == other.logicalBlockSize && serial == other.serial && sequence == other.sequence
    }
}

/// What an image asks of a disk.
public struct DiskRequirement: Sendable, Equatable {
    /// At least so many bytes.
    public let sizeBytes: UInt64
    /// Exactly this logical block size, in bytes: the one the image's partition table counts in.
    public let logicalBlockSize: Int

    /// - Precondition: `logicalBlockSize` is a power of two from 512 on.
    public init(sizeBytes: UInt64, logicalBlockSize: Int) {
        precondition(logicalBlockSize >= 512 && logicalBlockSize & (logicalBlockSize - 1) == 0)
        self.sizeBytes = sizeBytes
        self.logicalBlockSize = logicalBlockSize
    }
}
