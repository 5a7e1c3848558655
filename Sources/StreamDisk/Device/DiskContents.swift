import CBlkid
import Glibc

/// What is on a disk now: its partition table, and the file systems and other signatures that libblkid knows.
///
/// For display only, so that a user sees what a run would destroy. No decision depends on it; what cannot be read is omitted.
package struct DiskContents: Sendable, Equatable {
    /// What a disk or partition holds: a file system, swap space, an encrypted volume, a RAID or volume group member.
    package struct Signature: Sendable, Equatable {
        /// libblkid's name for it (TYPE): `ext4`, `vfat`, `swap`, `crypto_LUKS`, `LVM2_member`, `linux_raid_member` … If
        /// several contradictory signatures are found, all of them, separated by commas.
        package let type: String
        /// The label; nil if there is none.
        package let label: String?
        /// The UUID as libblkid writes it; nil if there is none.
        package let uuid: String?
    }

    /// An entry of the partition table.
    package struct Partition: Sendable, Equatable {
        /// The number of the table entry, from 1.
        package let number: Int
        /// The name in the GPT entry; nil if there is none.
        package let name: String?
        /// Offset of its first byte from the start of the disk.
        package let offsetBytes: UInt64
        /// Its size in bytes.
        package let sizeBytes: UInt64
        /// Nil if libblkid finds no known signature. The partition may still hold data.
        package let signature: Signature?
    }

    /// Partitions beyond this number are counted but not probed.
    package static let partitionsMax = 32

    /// libblkid's name for the partition table (PTTYPE): `gpt`, `dos`, `PMBR` (a protective MBR without its GPT) …; nil if
    /// there is none.
    package let tableType: String?
    /// Number of partitions in the table.
    package let partitionCount: Int
    /// The first `partitionsMax` of them, in the table's order.
    package let partitions: [Partition]
    /// A signature of the whole disk, found without or beside a partition table.
    package let signature: Signature?

    /// Whether neither a table nor a signature was found: the disk is empty, or holds data of an unknown format.
    package var isUnknown: Bool { tableType == nil && signature == nil }
}

extension TargetDisk {
    /// What is on the disk now; nil if that could not be determined within two seconds. Reads about 1 MiB per partition.
    func contents() -> DiskContents? { DiskContents.look(at: lock.number) }
}

extension HostDisks {
    /// What is on the disk now; nil if it may not be opened, or if that could not be determined within two seconds.
    package func contents(of disk: DiskInfo) -> DiskContents? {
        guard disk.sizeBytes > 0, let file = try? Descriptor(opening: disk.path, O_RDONLY | O_NONBLOCK),
            let status = try? file.status(), status.st_mode & S_IFMT == S_IFBLK, DeviceNumber(status.st_rdev) == disk.number
        else { return nil }
        return DiskContents.look(at: file.number)
    }
}

extension DiskContents {
    static let timeoutSeconds = 2.0

    /// What libblkid finds in a part of an open disk or file; nil if it knows nothing there. Blocks as reading does.
    package static func signature(of descriptor: Int32, _ bytes: Range<UInt64>) -> Signature? {
        Probe(descriptor, bytes)?.signature()
    }

    /// Probes an open descriptor, without O_DIRECT. If the disk does not answer within the timeout, returns nil; the probing
    /// thread then ends on its own once the disk answers.
    static func look(at descriptor: Int32) -> DiskContents? {
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        guard own >= 0 else { return nil }
        let deadline = Instant.after(seconds: timeoutSeconds)
        let result = Monitor<DiskContents??>(nil)
        do throws(SystemError) {
            _ = try WorkerThread(name: "contents") {
                let contents = DiskContents(descriptor: own, deadline: deadline)
                close(own)
                result.mutateAndNotify { $0 = .some(contents) }
            }
        } catch {
            close(own)
            return nil
        }
        return result.wait(until: deadline) { $0 } ?? nil
    }

    /// Nil if nothing could be read, or not in time.
    private init?(descriptor: Int32, deadline: Instant) {
        let sizeBytes = lseek(descriptor, 0, SEEK_END)
        guard sizeBytes > 0 else { return nil }
        readAhead(descriptor, 0..<UInt64(sizeBytes))
        guard let table = PartitionTable(descriptor: descriptor), let whole = Probe(descriptor) else { return nil }
        for entry in table.entries.prefix(Self.partitionsMax) { readAhead(descriptor, entry.bytes) }
        var partitions: [Partition] = []
        for entry in table.entries.prefix(Self.partitionsMax) {
            guard Instant.now < deadline else { return nil }
            let signature = Probe(descriptor, entry.bytes)?.signature()
            partitions.append(
                Partition(
                    number: entry.number, name: entry.name, offsetBytes: entry.bytes.lowerBound,
                    sizeBytes: UInt64(entry.bytes.count), signature: signature))
        }
        tableType = table.type
        partitionCount = table.entries.count
        self.partitions = partitions
        signature = whole.signature()
    }
}

/// Asks the kernel to read both ends of a range in one go. Nearly all signatures lie there, and libblkid otherwise reads some
/// thirty places one after the other, each a request (on a hard disk, a seek).
private func readAhead(_ descriptor: Int32, _ bytes: Range<UInt64>) {
    let length = min(UInt64(bytes.count), 512 << 10)
    for start in Set([bytes.lowerBound, bytes.upperBound - length]) {
        _ = posix_fadvise(descriptor, off_t(start), off_t(length), POSIX_FADV_WILLNEED)
    }
}

/// The partition table of a disk; does not probe its partitions.
private struct PartitionTable {
    struct Entry {
        let number: Int
        let name: String?
        let bytes: Range<UInt64>
    }

    var type: String?
    var entries: [Entry] = []

    /// A regular file has no block size, so a GPT is looked for with both sizes: 512 and 4096 bytes.
    init?(descriptor: Int32) {
        guard let probe = Probe(descriptor) else { return nil }
        read(probe)
        guard type == nil || type == "PMBR", probe.isRegularFile, let other = Probe(descriptor, blockBytes: 4096) else { return }
        var found = self
        found.read(other)
        if found.type == "gpt" { self = found }
    }

    private mutating func read(_ probe: borrowing Probe) {
        (type, entries) = (nil, [])
        // libblkid also reports a protective MBR without a GPT; it has no partitions.
        type = probe.tableType()
        let handle = unsafe probe.handle
        // SAFETY: list and partitions belong to the probe, which lives to the end of this call; strings are copied.
        guard type != nil, let list = unsafe blkid_probe_get_partitions(handle) else { return }
        for index in 0..<max(unsafe blkid_partlist_numof_partitions(list), 0) {
            guard let partition = unsafe blkid_partlist_get_partition(list, index),
                // An extended partition only contains others, which have their own entries.
                unsafe blkid_partition_is_extended(partition) == 0
            else { continue }
            // Both count in units of 512 bytes, whatever the disk's block size (libblkid, "Partitions probing").
            let start = UInt64(clamping: unsafe blkid_partition_get_start(partition)).multipliedReportingOverflow(by: 512)
            let size = UInt64(clamping: unsafe blkid_partition_get_size(partition)).multipliedReportingOverflow(by: 512)
            let end = start.partialValue.addingReportingOverflow(size.partialValue)
            // Offsets above this cannot be expressed: lseek(2).
            guard !start.overflow, !size.overflow, !end.overflow, end.partialValue <= UInt64(Int64.max),
                size.partialValue > 0
            else { continue }
            entries.append(
                Entry(
                    number: Int(unsafe blkid_partition_get_partno(partition)),
                    name: unsafe text(blkid_partition_get_name(partition)), bytes: start.partialValue..<end.partialValue))
        }
    }
}

/// A libblkid probe of a disk or part of it (libblkid, "Low-level probing").
@safe
private struct Probe: ~Copyable {
    let handle: OpaquePointer
    let isRegularFile: Bool

    /// - Parameters:
    ///   - bytes: the range to probe; nil for all of it.
    ///   - blockBytes: for a regular file, which has no block size of its own.
    init?(_ descriptor: Int32, _ bytes: Range<UInt64>? = nil, blockBytes: UInt32? = nil) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0,
            let offset = Int64(exactly: bytes?.lowerBound ?? 0), let size = Int64(exactly: bytes.map { UInt64($0.count) } ?? 0),
            let handle = unsafe blkid_new_probe()
        else { return nil }
        guard unsafe blkid_probe_set_device(handle, descriptor, offset, size) == 0 else {
            unsafe blkid_free_probe(handle)
            return nil
        }
        unsafe self.handle = handle
        isRegularFile = status.st_mode & S_IFMT == S_IFREG
        if let blockBytes { unsafe blkid_probe_set_sectorsize(handle, blockBytes) }
        unsafe blkid_probe_enable_partitions(handle, 1)
        unsafe blkid_probe_set_partitions_flags(handle, CInt(BLKID_PARTS_ENTRY_DETAILS))
    }

    // Does not close the descriptor: the caller owns it.
    deinit { unsafe blkid_free_probe(handle) }

    func tableType() -> String? {
        unsafe blkid_probe_enable_superblocks(handle, 0)
        return unsafe blkid_do_safeprobe(handle) == 0 ? value("PTTYPE") : nil
    }

    func signature() -> DiskContents.Signature? {
        unsafe blkid_probe_enable_partitions(handle, 0)
        unsafe blkid_probe_enable_superblocks(handle, 1)
        unsafe blkid_probe_set_superblocks_flags(handle, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE)
        switch unsafe blkid_do_safeprobe(handle) {
        case 0: return value("TYPE").map { .init(type: $0, label: value("LABEL"), uuid: value("UUID")) }
        case -2: break
        default: return nil
        }
        // Contradictory signatures are listed one by one.
        unsafe blkid_reset_probe(handle)
        var types: [String] = []
        while types.count < 4, unsafe blkid_do_probe(handle) == 0 {
            if let type = value("TYPE"), !types.contains(type) { types.append(type) }
        }
        return types.isEmpty ? nil : .init(type: types.joined(separator: ", "), label: nil, uuid: nil)
    }

    private func value(_ name: String) -> String? {
        var data: UnsafePointer<CChar>?
        guard unsafe blkid_probe_lookup_value(handle, name, &data, nil) == 0 else { return nil }
        // SAFETY: the string belongs to the probe and is NUL-terminated; it is copied before the next probe.
        return unsafe text(data)
    }
}

/// A copy of a C string; nil if it is null or empty.
private func text(_ string: UnsafePointer<CChar>?) -> String? {
    guard let string = unsafe string else { return nil }
    // SAFETY: libblkid's strings are NUL-terminated.
    let text = unsafe String(cString: string)
    return text.isEmpty ? nil : text
}
