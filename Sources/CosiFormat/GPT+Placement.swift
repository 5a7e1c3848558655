extension GPT {
    /// What is written where on a device, in whole blocks.
    package struct Placement: Sendable {
        /// Block 0, byte for byte as in the image.
        package let mbr: [UInt8]
        /// From block 1 to the end of the primary region, padded with zeros to a whole block.
        package let primary: [UInt8]
        /// The entry array, padded with zeros to whole blocks, then the header block: ends at the device's last block.
        package let backup: [UInt8]
        /// Where `backup` begins on the device, in bytes.
        package let backupOffsetBytes: UInt64
    }

    /// Lays out both tables for a device of this size, which is at least the size of the image's disk. A partial block at the
    /// end is not used.
    ///
    /// On a device of exactly the image's size, the primary region is byte for byte the image's. On a larger one the backup goes
    /// to the end of the device, and only the primary's alternate LBA, last usable LBA and CRC change. A wrong alternate LBA in
    /// the image is corrected in both cases.
    package func placement(onDeviceOf deviceSizeBytes: UInt64) throws(FormatError) -> Placement {
        let deviceBlocks = deviceSizeBytes / UInt64(blockBytes)
        guard deviceBlocks >= diskBlocks else {
            throw FormatError(
                .gpt, place: "GPT",
                problem: "is for a disk of \(diskBlocks) blocks of \(blockBytes) bytes, the device has \(deviceBlocks)")
        }
        // parse() has checked that diskBlocks > arrayBlocks + 1.
        let arrayBytes = entryCount * entrySizeBytes
        let arrayBlocks = GPTHeader.arrayBlocks(sizeBytes: arrayBytes, blockBytes: blockBytes)
        let lastLBA = deviceBlocks - 1
        let backupArrayLBA = lastLBA - arrayBlocks

        var header = Array(region[blockBytes..<2 * blockBytes])
        if alternateLBA != lastLBA || deviceBlocks > diskBlocks {
            header.setLittleEndian(lastLBA, at: GPTHeader.Field.alternateLBA)
            if deviceBlocks > diskBlocks {
                header.setLittleEndian(backupArrayLBA - 1, at: GPTHeader.Field.lastUsableLBA)
            }
            seal(&header)
        }
        var backupHeader = header
        backupHeader.setLittleEndian(lastLBA, at: GPTHeader.Field.myLBA)
        backupHeader.setLittleEndian(UInt64(1), at: GPTHeader.Field.alternateLBA)
        backupHeader.setLittleEndian(backupArrayLBA, at: GPTHeader.Field.entryArrayLBA)
        seal(&backupHeader)

        let arrayStart = Int(entryArrayLBA) * blockBytes
        let array = Array(region[arrayStart..<arrayStart + arrayBytes])
        return Placement(
            mbr: Array(region[..<blockBytes]),
            primary: header + wholeBlocks(Array(region[(2 * blockBytes)...])),
            backup: wholeBlocks(array) + backupHeader,
            backupOffsetBytes: backupArrayLBA * UInt64(blockBytes))
    }

    private func seal(_ header: inout [UInt8]) {
        let crc = GPTHeader.crc(of: header, sizeBytes: headerSizeBytes)
        header.setLittleEndian(crc, at: GPTHeader.Field.headerCRC)
    }

    private func wholeBlocks(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (blockBytes - bytes.count % blockBytes) % blockBytes)
    }
}
