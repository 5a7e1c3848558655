/// A reference to a partition is wrong: the image has no such partition, or several. Nothing was written.
public struct PartitionError: Error, Sendable, Equatable {
    /// The reason, for programs. The `kind` of an `error` event is `partition.` followed by this.
    package enum Kind: String, Sendable, CaseIterable {
        /// The image has no such partition.
        case notFound
        /// Several have this name or mount point.
        case ambiguous
        /// The partition table has it, but the image has no bytes for it.
        case noImage
        /// It is named more than once.
        case repeated
    }

    /// The reason, for programs.
    package let kind: Kind
    /// The reference as text.
    package let reference: String
    /// The partitions that exist, or those that the reference matches, each described in words.
    package let partitions: [String]

    package init(_ kind: Kind, reference: String, partitions: [String]) {
        self.kind = kind
        self.reference = reference
        self.partitions = partitions
    }
}
