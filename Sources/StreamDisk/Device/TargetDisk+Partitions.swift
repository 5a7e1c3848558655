import CLinux
import Glibc

// What the kernel knows of the disk's partitions: the old ones go before their table does, the new ones come after theirs.
extension TargetDisk {
    package enum RereadOutcome: Sendable, Equatable {
        /// The kernel read the table anew. Where it lacks support for GPT it knows no partitions now.
        case done
        /// A regular file has no partitions.
        case notABlockDevice
        /// The kernel reads no partitions from this device (a loop device without partition scan).
        case unsupported(SystemError)
        /// The kernel would not: EBUSY while a partition is in use, EACCES without CAP_SYS_ADMIN.
        case refused(SystemError)
    }

    /// Makes the kernel forget the partitions of the old table, to be called before that table is removed: what is left of them
    /// after a failed run is new bytes in old bounds, and must not be mounted.
    ///
    /// A partition that somebody has open, even only to read, is found out by this and nothing else. Then none is forgotten, and
    /// nothing was written. Waits some seconds for udev's look at a partition.
    ///
    /// - Returns: what a person must know, where the kernel keeps them.
    func forgetPartitions(patienceSeconds: Double = 3) throws(DiskSelectionError) -> String? {
        guard let info else { return nil }
        let deadline = Instant.after(seconds: patienceSeconds)
        var forgotten: [KernelPartition] = []
        for partition in hosts.partitions(of: info.name) {
            while change(partition, cl_BLKPG_DEL_PARTITION) != 0 {
                let error = SystemError.current
                switch error.code {
                case EINTR: continue
                case EBUSY where Instant.now < deadline:
                    waitAMoment()
                    continue
                case EBUSY:
                    restore(forgotten)
                    throw DiskSelectionError(
                        .inUse, path: path, reason: "in use: another program has its partition \(partition.name) open")
                // It is gone already.
                case ENXIO: break
                default:
                    restore(forgotten)
                    return
                        "the kernel keeps the old partitions of \(path) (\(error)): do not use them, whatever becomes of this run"
                }
                break
            }
            forgotten.append(partition)
        }
        return nil
    }

    private func restore(_ partitions: [KernelPartition]) {
        for partition in partitions { _ = change(partition, cl_BLKPG_ADD_PARTITION) }
    }

    private func change(_ partition: KernelPartition, _ operation: Int32) -> Int32 {
        cl_block_partition(
            working.number, operation, Int32(truncatingIfNeeded: partition.number), partition.startBytes, partition.lengthBytes)
    }

    /// Asks the kernel to read the partition table anew.
    ///
    /// Waits up to a second for whoever has a partition open. Never an error: the data are on the disk, and the next
    /// boot reads the table in any case.
    package func rereadPartitionTable() -> RereadOutcome {
        guard info != nil else { return .notABlockDevice }
        let deadline = Instant.after(seconds: 1)
        while cl_block_reread_partitions(working.number) != 0 {
            let error = SystemError.current
            switch error.code {
            case EINTR: continue
            case EBUSY where Instant.now < deadline: waitAMoment()
            case EINVAL, ENOTTY, EOPNOTSUPP: return .unsupported(error)
            default: return .refused(error)
            }
        }
        return .done
    }
}
