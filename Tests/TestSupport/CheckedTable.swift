/// A partition table that a reader would believe: signature, place and both CRCs right (UEFI 2.10 §5.3.2). Written for the
/// tests, from the standard, so that what the library writes is not judged by what it reads.
struct CheckedTable: Equatable {
    let diskGUID: [UInt8]
    /// As they stand on the disk, unused ones too.
    let entries: [UInt8]
    /// First and last block.
    let partitions: [ClosedRange<Int>]

    /// The one at LBA 1 or the one in the last block; nil when it is not valid.
    init?(of disk: [UInt8], isPrimary: Bool, blockBytes: Int) {
        self.init(isPrimary: isPrimary, blocks: disk.count / blockBytes, blockBytes: blockBytes) { range in
            Array(disk[range.lowerBound * blockBytes..<range.upperBound * blockBytes])
        }
    }

    /// - Parameter read: the bytes of these blocks.
    init?(isPrimary: Bool, blocks: Int, blockBytes: Int, read: (Range<Int>) throws -> [UInt8]) rethrows {
        let place = isPrimary ? 1 : blocks - 1
        let header = try read(place..<place + 1)
        guard Array(header[..<8]) == Array("EFI PART".utf8) else { return nil }
        let headerBytes = Self.number(header, 12, 4)
        guard (92...blockBytes).contains(headerBytes), Self.number(header, 24, 8) == place else { return nil }
        var sealed = Array(header[..<headerBytes])
        sealed.replaceSubrange(16..<20, with: [0, 0, 0, 0])
        guard Self.crc32(sealed) == Self.number(header, 16, 4) else { return nil }
        let (first, count, size) = (Self.number(header, 72, 8), Self.number(header, 80, 4), Self.number(header, 84, 4))
        guard (1...1024).contains(count), (128...1024).contains(size), first > 0, first < blocks else { return nil }
        let whole = (count * size + blockBytes - 1) / blockBytes
        guard first + whole <= blocks else { return nil }
        let entries = Array(try read(first..<first + whole)[..<(count * size)])
        guard Self.crc32(entries) == Self.number(header, 88, 4) else { return nil }
        diskGUID = Array(header[56..<72])
        self.entries = entries
        partitions = (0..<count).compactMap { index in
            let at = index * size
            guard entries[at..<at + 16].contains(where: { $0 != 0 }) else { return nil }
            let (first, last) = (Self.number(entries, at + 32, 8), Self.number(entries, at + 40, 8))
            return first <= last ? first...last : nil
        }
    }

    /// Little-endian; what does not fit is no place on any disk.
    private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
        let word = (0..<count).reduce(UInt64(0)) { $0 | UInt64(bytes[at + $1]) << (8 * $1) }
        return Int(exactly: word) ?? .max
    }

    private static let crcTable: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 != 0 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
    }

    private static func crc32(_ bytes: [UInt8]) -> Int {
        Int(~bytes.reduce(~UInt32(0)) { crcTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) })
    }
}
