@testable import CosiFormat

/// Puts the right CRCs over whatever a GPT's header and entries hold.
enum GPTSeal {
    static func seal(_ bytes: inout [UInt8], blockBytes: Int) {
        guard bytes.count >= 2 * blockBytes else { return }
        let array = bytes.littleEndian64(at: blockBytes + 72).multipliedReportingOverflow(by: UInt64(blockBytes))
        let (entries, size) = (bytes.littleEndian32(at: blockBytes + 80), bytes.littleEndian32(at: blockBytes + 84))
        let arrayBytes = UInt64(entries) * UInt64(size)
        if !array.overflow, array.partialValue <= bytes.count, arrayBytes <= UInt64(bytes.count) - array.partialValue {
            let crc = CRC32.of(bytes[Int(array.partialValue)..<Int(array.partialValue + arrayBytes)])
            bytes.setLittleEndian(crc, at: blockBytes + 88)
        }
        let headerBytes = Int(bytes.littleEndian32(at: blockBytes + 12))
        guard headerBytes >= 92, headerBytes <= blockBytes else { return }
        let crc = GPTHeader.crc(of: Array(bytes[blockBytes..<2 * blockBytes]), sizeBytes: headerBytes)
        bytes.setLittleEndian(crc, at: blockBytes + 16)
    }
}
