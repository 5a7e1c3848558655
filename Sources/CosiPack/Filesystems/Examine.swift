package import StreamDisk

/// How the content of a partition is chosen.
package struct ExamineOptions: Sendable {
    /// What an image takes of a partition that it could do without.
    package enum Extent: String, Sendable, CaseIterable {
        /// All of its bytes.
        case whole
        /// What makes it what it is: the header of swap space. Of anything else, all of its bytes.
        case header
        /// Nothing: the partition gets no image.
        case none
    }

    /// Of swap space, whose pages are worth nothing after a shutdown.
    package var swap = Extent.header
    /// Of a partition in which libblkid finds nothing.
    package var unknown = Extent.whole

    package init() {}
}

/// What a partition holds, and what its image is made of.
package struct Examination: Sendable {
    /// What libblkid finds: the type, UUID and label in the form that COSI has them in; nil for nothing.
    package let signature: DiskContents.Signature?
    /// Nil if the partition is left out, as the options say.
    package let content: PartitionContent?
    /// For people: why free blocks are taken with the rest, among others.
    package let warnings: [String]
}

/// Finds out what a partition holds, and which of its blocks are in use.
///
/// Only reads; blocks as reading does. Free blocks are left out only if every structure that says so is as its format wants it
/// (checksums, bounds, counts) and the file system was unmounted cleanly; otherwise the partition is taken whole, with a
/// warning. What lies in the partition behind the file system is always taken.
///
/// - Parameters:
///   - descriptor: the disk or file, for reading. It outlives the result.
///   - offsetBytes: where in it the partition begins.
///   - sizeBytes: the partition's size.
package func examine(
    descriptor: Int32, offsetBytes: UInt64, sizeBytes: UInt64, options: ExamineOptions = ExamineOptions()
) -> Examination {
    let reader = PartitionReader(descriptor: descriptor, offsetBytes: offsetBytes, sizeBytes: sizeBytes)
    let signature = DiskContents.signature(of: descriptor, offsetBytes..<offsetBytes + sizeBytes)
    func result(_ data: [Range<UInt64>]?, _ warnings: [String] = []) -> Examination {
        let content = data.map {
            PartitionContent(descriptor: descriptor, offsetBytes: offsetBytes, sizeBytes: sizeBytes, data: $0)
        }
        return Examination(signature: signature, content: content, warnings: warnings)
    }
    let whole = sizeBytes > 0 ? [0..<sizeBytes] : []
    do throws(MapFailure) {
        var used = UsedBytes(sizeBytes: sizeBytes)
        switch signature?.type {
        case nil: return result(options.unknown == .none ? nil : whole)
        case "swap"?:
            if options.swap == .none { return result(nil) }
            if options.swap == .whole { return result(whole) }
            try mapSwap(reader, &used)
        case "ext2"?, "ext3"?, "ext4"?: try mapExt(reader, &used)
        case "vfat"?: try mapFAT(reader, &used)
        case "xfs"?: try mapXFS(reader, &used)
        case "btrfs"?: try mapBtrfs(reader, &used)
        default: return result(whole)
        }
        return result(used.ranges)
    } catch {
        return result(whole, ["the \(signature?.type ?? "file system") is taken whole, free blocks too: \(error)"])
    }
}

/// Why it cannot be said which blocks are free.
enum MapFailure: Error, CustomStringConvertible {
    /// The partition cannot be read there, in bytes from its start.
    case read(offset: UInt64, SystemError)
    /// A structure is not as its format wants it.
    case damaged(String)
    /// The file system has something to make up for: a journal, an unclean end.
    case unclean(String)
    /// A feature that is not known here.
    case unknown(String)

    var description: String {
        switch self {
        case .read(let offset, let error): "it cannot be read at byte \(offset) (\(error))"
        case .damaged(let what): "\(what); check it with fsck"
        case .unclean(let what): "\(what); mount and unmount it, or run fsck, to have it smaller"
        case .unknown(let what): "\(what) is not known here"
        }
    }
}
