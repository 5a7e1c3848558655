/// A partition that was asked for and that the image does not have, or more than one: nothing was written.
public struct PartitionError: Error, Sendable, Equatable {
    /// Why, for programs: `partition.` and this is the `kind` of an `error` event.
    public enum Kind: String, Sendable, CaseIterable {
        /// The image has no such partition.
        case notFound
        /// Several have this name or mount point.
        case ambiguous
        /// The image's table has it, and the image has no bytes for it.
        case noImage
        /// It was asked for more than once.
        case repeated
    }

    /// Why, for programs.
    public let kind: Kind
    /// What was asked for.
    public let reference: String
    /// What there is, or which of it was meant: a partition each, in words.
    public let partitions: [String]

    package init(_ kind: Kind, reference: String, partitions: [String]) {
        self.kind = kind
        self.reference = reference
        self.partitions = partitions
    }
}
