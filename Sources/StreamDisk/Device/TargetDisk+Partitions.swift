import CLinux
import Glibc

// The kernel's view of the disk's partitions. It forgets the old ones before their table is removed, and reads the new ones
// once theirs is written.
extension TargetDisk {
    package enum RereadOutcome: Sendable, Equatable {
        /// The kernel read the table again. Without GPT support it now knows no partitions.
        case done
        /// A regular file has no partitions.
        case notABlockDevice
        /// The kernel does not scan this device for partitions (a loop device without partition scan).
        case unsupported(SystemError)
        /// The kernel refused: EBUSY while a partition is in use, EACCES without CAP_SYS_ADMIN.
        case refused(SystemError)
    }

    /// Makes the kernel forget the partitions of the old table. Must be called before that table is removed: after a failed run
    /// they would be new bytes within old boundaries, and must not be mounted.
    ///
    /// This is also the only way to find a partition that is open, even just for reading. Then no partition is forgotten and
    /// nothing has been written. Waits a few seconds for udev to finish probing.
    ///
    /// - Returns: a warning for the user if the kernel keeps partitions; else nil.
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
                // Already gone.
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

    /// Asks the kernel to read the partition table again.
    ///
    /// Waits up to a second while a partition is open. Never throws: the data are on the disk, and the next boot reads the
    /// table in any case.
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
