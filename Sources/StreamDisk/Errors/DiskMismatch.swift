/// A disk that reads, but not what it should hold: other bytes than were written onto it, or than the image has.
public struct DiskMismatch: Error, Sendable, Equatable {
    /// What the disk was compared with.
    public enum Expectation: String, Sendable { case written, image }

    /// The part of the disk that the first difference is in.
    public enum Area: Sendable, Equatable, CustomStringConvertible {
        case mbr, primaryTable, backupTable
        /// GPT entry number, from 1, and name.
        case partition(number: Int, name: String)

        public var description: String {
            switch self {
            case .mbr: "LBA 0"
            case .primaryTable: "the primary partition table"
            case .backupTable: "the backup partition table"
            case .partition(let number, let name): "partition \(number) '\(name)'"
            }
        }
    }

    /// What the disk was compared with.
    public let expectation: Expectation
    /// The disk, as it was asked for.
    public let path: String
    /// The part it is in; nil between the partitions.
    public let area: Area?
    /// Bytes of the disk: where the image is at hand, from the first that differs to the last of the same piece; else the whole
    /// piece (1 MiB at most) whose checksum is wrong.
    public let offset: UInt64
    /// Of what differs; see `offset`.
    public let lengthBytes: Int
    /// How many pieces differ, where all of the disk was compared.
    public let count: Int

    init(_ expectation: Expectation, path: String, area: Area?, range: Range<UInt64>, count: Int = 1) {
        self.expectation = expectation
        self.path = path
        self.area = area
        offset = range.lowerBound
        lengthBytes = range.count
        self.count = count
    }
}
