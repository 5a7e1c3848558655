import CosiFormat

/// One partition of an image, and what its image goes onto.
public struct RegionTarget: Sendable, Equatable {
    /// Which partition of the image.
    public var partition: PartitionReference
    /// A block device, a partition of one, or an existing regular file. The image's first byte becomes its first.
    public var path: String

    public init(partition: PartitionReference, path: String) {
        self.partition = partition
        self.path = path
    }
}

/// A partition of an image, by what its partition table or its metadata calls it.
public enum PartitionReference: Sendable, Hashable {
    /// Of its GPT entry, from 1.
    case number(Int)
    /// In its GPT entry, letter for letter.
    case name(String)
    /// Of its file system, as `metadata.json` has it.
    case mountPoint(String)

    /// From text: digits are a number, what begins with a slash is a mount point, everything else a name. Nil for no text.
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
    /// As it is parsed from.
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
    /// The partitions that are asked for, in the same order; each has an image, and none is there twice.
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
