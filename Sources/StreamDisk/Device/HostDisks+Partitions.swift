/// A partition as the kernel has it.
struct KernelPartition: Equatable {
    /// Such as sda1, nvme0n1p1.
    let name: String
    /// Of its node; nil where sysfs does not say.
    let device: DeviceNumber?
    /// The GPT entry's number, from 1.
    let number: Int
    let startBytes: Int64
    let lengthBytes: Int64
}

extension HostDisks {
    /// The name of the partition of this number; nil when it is none.
    func partition(_ number: DeviceNumber) -> String? {
        guard let name = tree.name(of: number), tree.exists("/sys/class/block/\(name)/partition") else { return nil }
        return name
    }

    /// The partitions that the kernel knows on this disk, by their numbers.
    func partitions(of disk: String) -> [KernelPartition] {
        tree.partitions(of: disk).compactMap { name -> KernelPartition? in
            let folder = "/sys/class/block/\(disk)/\(name)"
            guard let number: Int = tree.number(folder + "/partition") else { return nil }
            // Both count in 512 bytes, as the disk's size does.
            let start = (tree.number(folder + "/start") ?? Int64(0)).multipliedReportingOverflow(by: 512)
            let length = (tree.number(folder + "/size") ?? Int64(0)).multipliedReportingOverflow(by: 512)
            return KernelPartition(
                name: name, device: tree.deviceNumber(folder + "/dev"), number: number,
                startBytes: start.overflow ? 0 : start.partialValue, lengthBytes: length.overflow ? 0 : length.partialValue)
        }.sorted { $0.number < $1.number }
    }
}
