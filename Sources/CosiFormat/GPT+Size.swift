extension GPT {
    /// How long a primary region is, from byte 0 to the end of the entry array, as its header states it (UEFI 2.10 §5.3.2). The
    /// header's own CRC is checked, the array is not there yet.
    ///
    /// - Parameter header: the block at LBA 1.
    package static func primaryBytes(header: [UInt8], blockBytes: Int) throws(FormatError) -> Int {
        _ = try GPTHeader.checkIdentity(header)
        let (count, entryBytes) = try GPTHeader.checkArrayShape(header)
        let lba = header.littleEndian64(at: GPTHeader.Field.entryArrayLBA)
        guard lba >= 2, lba <= UInt64(imageBytesMax / blockBytes),
            Int(lba) * blockBytes + count * entryBytes <= imageBytesMax
        else {
            throw FormatError(
                .gpt, place: GPTHeader.place,
                problem: "puts the entry array at block \(lba), must be 2 or higher and end within \(imageBytesMax) bytes")
        }
        return Int(lba) * blockBytes + count * entryBytes
    }

    /// The size of the disk that a header was made for, in bytes: its backup is at the end. Not checked; nil if it overflows.
    package static func statedDiskBytes(header: [UInt8], blockBytes: Int) -> UInt64? {
        let (blocks, one) = header.littleEndian64(at: GPTHeader.Field.alternateLBA).addingReportingOverflow(1)
        let (bytes, two) = blocks.multipliedReportingOverflow(by: UInt64(blockBytes))
        return one || two ? nil : bytes
    }
}
