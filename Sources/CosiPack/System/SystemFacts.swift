package import CosiFormat
package import StreamDisk

/// A partition of the disk whose system is looked at.
package struct SystemPartition: Sendable {
    /// Of its GPT entry, from 1.
    package let number: Int
    /// In the disk or file.
    package let offsetBytes: UInt64
    package let sizeBytes: UInt64
    /// Of its GPT entry: the type, the unique GUID and the name.
    package let type: GUID
    package let uniqueID: GUID
    package let name: String
    /// What it holds, by ``examine(descriptor:offsetBytes:sizeBytes:options:)``.
    package let signature: DiskContents.Signature?

    package init(
        number: Int, offsetBytes: UInt64, sizeBytes: UInt64, type: GUID, uniqueID: GUID, name: String,
        signature: DiskContents.Signature?
    ) {
        self.number = number
        self.offsetBytes = offsetBytes
        self.sizeBytes = sizeBytes
        self.type = type
        self.uniqueID = uniqueID
        self.name = name
        self.signature = signature
    }
}

/// What the metadata of an image says of its system, as found on the disk. Nil is what was not found: a caller must be told it,
/// or do without.
package struct SystemFacts: Sendable {
    /// A hash tree of dm-verity that is a partition's content.
    package struct Verity: Sendable {
        /// The partition that holds the hash tree.
        package let hashPartition: Int
        /// The partition whose data it covers, by the kernel command line's UUIDs or by the only one that fits; nil if unknown.
        package let dataPartition: Int?
        /// Of the kernel command lines; nil where none says it. The tree alone cannot say it.
        package let rootHash: String?
    }

    /// The partition of the root file system.
    package var rootPartition: Int?
    /// Verbatim.
    package var osRelease: String?
    package var osArch: CosiMetadata.Architecture?
    package var osPackages: [CosiMetadata.Package]?
    package var bootloader: CosiMetadata.Bootloader?
    /// By partition number: a path, or `swap`. The root's own is there too.
    package var mountPoints: [Int: String] = [:]
    package var verity: [Verity] = []
    /// For people.
    package var warnings: [String] = []
}

/// Reads what the system on a disk says of itself. Blocks for some seconds; never writes to the disk.
///
/// Reads without mounting where the tools can (`debugfs` of e2fsprogs, mtools); other file systems are mounted read-only in a
/// mount namespace of its own, which takes root. What cannot be read becomes a warning.
///
/// - Parameters:
///   - descriptor: the disk or file, for reading.
///   - root: the number of the root file system's partition; nil to look for it.
package func findSystemFacts(
    descriptor: Int32, partitions: [SystemPartition], root: Int? = nil
) -> SystemFacts {
    var facts = SystemFacts()
    var finder = SystemFinder(descriptor: descriptor, partitions: partitions)
    finder.find(root: root, &facts)
    return facts
}
