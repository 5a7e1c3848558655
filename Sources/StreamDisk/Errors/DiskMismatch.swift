/// The disk could be read, but its contents differ from what was written (read back) or from the image (verify).
public struct DiskMismatch: Error, Sendable, Equatable {
    /// What the disk was compared with.
    package enum Expectation: String, Sendable { case written, image }

    /// The part of the disk that contains the first difference.
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
    package let expectation: Expectation
    /// The disk's path as the caller gave it.
    package let path: String
    /// The part that contains the difference; nil between the partitions.
    package let area: Area?
    /// Byte offset on the disk. When compared with the image, the first byte that differs; when read back, the start of the
    /// extent (1 MiB at most) whose checksum is wrong.
    package let offset: UInt64
    /// When compared with the image, the length from the first to the last differing byte of one extent; when read back, the
    /// length of the extent.
    package let lengthBytes: Int
    /// Number of differing extents, if the whole disk was compared; else 1.
    package let count: Int

    init(_ expectation: Expectation, path: String, area: Area?, range: Range<UInt64>, count: Int = 1) {
        self.expectation = expectation
        self.path = path
        self.area = area
        offset = range.lowerBound
        lengthBytes = range.count
        self.count = count
    }
}
