/// The fields of a primary GPT header, checked against the region that contains it (UEFI 2.10 §5.3.2, table 5-5).
struct GPTHeader {
    /// Offsets within the header block.
    enum Field {
        static let signature = 0
        static let revision = 8
        static let headerSize = 12
        static let headerCRC = 16
        static let myLBA = 24
        static let alternateLBA = 32
        static let firstUsableLBA = 40
        static let lastUsableLBA = 48
        static let diskGUID = 56
        static let entryArrayLBA = 72
        static let entryCount = 80
        static let entrySize = 84
        static let entryArrayCRC = 88
        static let end = 92
    }

    let sizeBytes: Int
    let diskBlocks: UInt64
    let alternateLBA: UInt64
    let firstUsableLBA: UInt64
    let lastUsableLBA: UInt64
    let diskGUID: GUID
    let entryArrayLBA: UInt64
    let entryCount: Int
    let entrySizeBytes: Int
    /// The byte range of the entry array in the region.
    let arrayRange: Range<Int>

    static let place = "GPT header"

    /// - Parameter bytes: the primary region, at least two blocks.
    init(
        _ bytes: [UInt8], blockBytes: Int, diskBlocks: UInt64, _ warnings: inout [FormatWarning]
    ) throws(FormatError) {
        let header = Array(bytes[blockBytes..<2 * blockBytes])
        sizeBytes = try Self.checkIdentity(header)
        self.diskBlocks = diskBlocks
        alternateLBA = header.littleEndian64(at: Field.alternateLBA)
        firstUsableLBA = header.littleEndian64(at: Field.firstUsableLBA)
        lastUsableLBA = header.littleEndian64(at: Field.lastUsableLBA)
        diskGUID = GUID(onDisk: header, at: Field.diskGUID)
        entryArrayLBA = header.littleEndian64(at: Field.entryArrayLBA)
        (entryCount, entrySizeBytes) = try Self.checkArrayShape(header)
        arrayRange = try Self.checkArray(
            bytes, at: entryArrayLBA, sizeBytes: entryCount * entrySizeBytes, blockBytes: blockBytes,
            crc: header.littleEndian32(at: Field.entryArrayCRC))
        try checkUsableRange(regionBytes: bytes.count, blockBytes: blockBytes)
        if alternateLBA != diskBlocks - 1 {
            warnings.append(
                FormatWarning(
                    place: Self.place,
                    message: "puts the backup at block \(alternateLBA), not at the disk's last block "
                        + "\(diskBlocks - 1); what is written gets the right place"))
        }
    }

    /// The number of whole blocks that an entry array takes.
    static func arrayBlocks(sizeBytes: Int, blockBytes: Int) -> UInt64 {
        UInt64((sizeBytes + blockBytes - 1) / blockBytes)
    }

    /// Checks signature, revision, size, CRC and the header's own LBA. Returns the header's size.
    static func checkIdentity(_ header: [UInt8]) throws(FormatError) -> Int {
        guard header.starts(with: "EFI PART".utf8) else {
            throw FormatError(.gpt, place: place, problem: "has no signature 'EFI PART' at block 1")
        }
        let revision = header.littleEndian32(at: Field.revision)
        guard revision == 0x0001_0000 else {
            throw FormatError(
                .gpt, place: place,
                problem: "has revision 0x\(String(revision, radix: 16)), must be 0x10000 (1.0)")
        }
        let size = header.littleEndian32(at: Field.headerSize)
        guard size >= Field.end, size <= header.count else {
            throw FormatError(
                .gpt, place: place, problem: "says it is \(size) bytes, must be \(Field.end) to \(header.count)")
        }
        guard crc(of: header, sizeBytes: Int(size)) == header.littleEndian32(at: Field.headerCRC) else {
            throw FormatError(.gpt, place: place, problem: "has a wrong CRC")
        }
        let myLBA = header.littleEndian64(at: Field.myLBA)
        guard myLBA == 1 else {
            throw FormatError(.gpt, place: place, problem: "says it is at block \(myLBA), must be 1")
        }
        return Int(size)
    }

    /// The CRC of the header is computed with its own field set to zero.
    static func crc(of header: [UInt8], sizeBytes: Int) -> UInt32 {
        var copy = Array(header[..<sizeBytes])
        copy.setLittleEndian(UInt32(0), at: Field.headerCRC)
        return CRC32.of(copy)
    }

    static func checkArrayShape(_ header: [UInt8]) throws(FormatError) -> (count: Int, sizeBytes: Int) {
        let count = header.littleEndian32(at: Field.entryCount)
        guard count >= 1, count <= GPT.entryCountMax else {
            throw FormatError(.gpt, place: place, problem: "has \(count) entries, must be 1 to \(GPT.entryCountMax)")
        }
        let size = header.littleEndian32(at: Field.entrySize)
        guard size >= 128, size <= GPT.entrySizeBytesMax, size.nonzeroBitCount == 1 else {
            throw FormatError(
                .gpt, place: place,
                problem: "has entries of \(size) bytes, must be 128 times a power of two, at most "
                    + "\(GPT.entrySizeBytesMax)")
        }
        return (Int(count), Int(size))
    }

    private static func checkArray(
        _ bytes: [UInt8], at lba: UInt64, sizeBytes: Int, blockBytes: Int, crc: UInt32
    ) throws(FormatError) -> Range<Int> {
        guard lba >= 2 else {
            throw FormatError(.gpt, place: place, problem: "puts the entry array at block \(lba), must be 2 or higher")
        }
        let (start, overflow) = lba.multipliedReportingOverflow(by: UInt64(blockBytes))
        guard !overflow, start <= bytes.count, sizeBytes <= bytes.count - Int(start) else {
            throw FormatError(
                .gpt, place: "primary-GPT image",
                problem: "is \(bytes.count) bytes and ends before the entry array of \(sizeBytes) bytes at block "
                    + "\(lba) does")
        }
        let range = Int(start)..<Int(start) + sizeBytes
        guard CRC32.of(bytes[range]) == crc else {
            throw FormatError(.gpt, place: "GPT entry array", problem: "has a wrong CRC")
        }
        return range
    }

    /// The usable blocks lie after the entry array and before the backup's array and header at the end of the disk.
    private func checkUsableRange(regionBytes: Int, blockBytes: Int) throws(FormatError) {
        let arrayBlocks = Self.arrayBlocks(sizeBytes: arrayRange.count, blockBytes: blockBytes)
        let arrayEnd = entryArrayLBA + arrayBlocks
        guard firstUsableLBA >= arrayEnd else {
            throw FormatError(
                .gpt, place: Self.place,
                problem: "has the first usable block \(firstUsableLBA) inside the entry array, which ends before "
                    + "block \(arrayEnd)")
        }
        guard diskBlocks > arrayBlocks + 1, lastUsableLBA < diskBlocks - 1 - arrayBlocks else {
            throw FormatError(
                .gpt, place: Self.place,
                problem: "has the last usable block \(lastUsableLBA); on a disk of \(diskBlocks) blocks the backup "
                    + "needs the last \(arrayBlocks + 1)")
        }
        guard firstUsableLBA <= lastUsableLBA else {
            throw FormatError(
                .gpt, place: Self.place,
                problem: "has the first usable block \(firstUsableLBA) behind the last one \(lastUsableLBA)")
        }
        // Cannot overflow: firstUsableLBA is inside the disk.
        guard UInt64(regionBytes) <= firstUsableLBA * UInt64(blockBytes) else {
            throw FormatError(
                .gpt, place: "primary-GPT image",
                problem: "is \(regionBytes) bytes and reaches behind the first usable block \(firstUsableLBA)")
        }
    }
}
