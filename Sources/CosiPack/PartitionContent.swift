/// What the image of one partition is made of: where its bytes are read, and which of them are data.
package struct PartitionContent: Sendable {
    /// The file to read: the source, or a shrunk copy. It outlives this value.
    package let descriptor: Int32
    /// The byte of that file at which the partition begins.
    package let offsetBytes: UInt64
    /// The length of the image; at most the partition's.
    package let sizeBytes: UInt64
    /// Byte ranges of the image that hold data, sorted and disjoint, none empty. All other bytes of the image are zero in it,
    /// whatever the file holds there: free blocks are not read.
    package let data: [Range<UInt64>]

    package init(descriptor: Int32, offsetBytes: UInt64, sizeBytes: UInt64, data: [Range<UInt64>]) {
        self.descriptor = descriptor
        self.offsetBytes = offsetBytes
        self.sizeBytes = sizeBytes
        self.data = data
    }
}
