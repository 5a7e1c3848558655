import CosiFormat

/// A partition of an image, and the target that its image is written to.
public struct RegionTarget: Sendable, Equatable {
    /// The partition of the image.
    package var partition: PartitionReference
    /// A block device, a partition, or an existing regular file. The image is written from its first byte.
    package var path: String

    public init(partition: PartitionReference, path: String) {
        self.partition = partition
        self.path = path
    }
}

/// A partition of an image, by its number or name in the GPT, or by its mount point in the metadata.
public enum PartitionReference: Sendable, Hashable {
    /// The number of its GPT entry, from 1.
    case number(Int)
    /// Its name in the GPT, compared exactly.
    case name(String)
    /// The mount point of its file system in `metadata.json`. Repeated and trailing slashes do not count.
    case mountPoint(String)

    /// Reads text: digits are a number, text that begins with a slash is a mount point, and all else is a name. Nil if it is
    /// empty.
    public init?(_ text: String) {
        guard let first = text.utf8.first else { return nil }
        let isNumber = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        if isNumber, let number = Int(text) {
            self = .number(number)
        } else {
            self = first == UInt8(ascii: "/") ? .mountPoint(text) : .name(text)
        }
    }
}

extension PartitionReference: CustomStringConvertible {
    /// The text that it is parsed from.
    public var description: String {
        switch self {
        case .number(let number): "\(number)"
        case .name(let text), .mountPoint(let text): text
        }
    }

    fileprivate func matches(_ row: ImageContents.Row) -> Bool {
        switch self {
        case .number(let number): row.partition.number == number
        case .name(let name): row.partition.name == name
        // `/boot/` is `/boot`.
        case .mountPoint(let path): row.filesystem.map { $0.isMounted && parts($0.mountPoint) == parts(path) } ?? false
        }
    }

    private func parts(_ path: String) -> [Substring] { path.split(separator: "/") }
}

extension ImageContents {
    /// The partitions that are referred to, in the same order. Throws if one is missing, ambiguous, without an image, or named
    /// twice.
    func rows(_ references: [PartitionReference]) throws(PartitionError) -> [Row] {
        var found: [Row] = []
        for reference in references {
            let matching = rows.filter { reference.matches($0) }
            func error(_ kind: PartitionError.Kind, _ rows: [Row]) -> PartitionError {
                PartitionError(kind, reference: "\(reference)", partitions: rows.map(\.words))
            }
            guard let row = matching.first else { throw error(.notFound, rows) }
            guard matching.count == 1 else { throw error(.ambiguous, matching) }
            guard row.region != nil else { throw error(.noImage, rows.filter { $0.region != nil }) }
            guard !found.contains(where: { $0.partition.number == row.partition.number }) else { throw error(.repeated, [row]) }
            found.append(row)
        }
        return found
    }
}

extension ImageContents.Row {
    /// `2 'root' on /`
    fileprivate var words: String {
        let mountPoint = filesystem.flatMap { $0.isMounted ? " on \($0.mountPoint)" : nil } ?? ""
        return "\(partition.number) '\(partition.name)'\(mountPoint)" + (region == nil ? " (no image)" : "")
    }
}
