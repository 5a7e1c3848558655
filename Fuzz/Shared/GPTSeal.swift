@testable import CosiFormat

/// Puts the right CRCs over whatever a GPT's header and entries hold.
enum GPTSeal {
    static func seal(_ bytes: inout [UInt8], lbaSize: Int) {
        guard bytes.count >= 2 * lbaSize else { return }
        let array = bytes.littleEndian64(at: lbaSize + 72).multipliedReportingOverflow(by: UInt64(lbaSize))
        let (entries, size) = (bytes.littleEndian32(at: lbaSize + 80), bytes.littleEndian32(at: lbaSize + 84))
        let arrayBytes = UInt64(entries) * UInt64(size)
        if !array.overflow, array.partialValue <= bytes.count, arrayBytes <= UInt64(bytes.count) - array.partialValue {
            let crc = CRC32.of(bytes[Int(array.partialValue)..<Int(array.partialValue + arrayBytes)])
            bytes.setLittleEndian(crc, at: lbaSize + 88)
        }
        let headerBytes = Int(bytes.littleEndian32(at: lbaSize + 12))
        guard headerBytes >= 92, headerBytes <= lbaSize else { return }
        let crc = GPTHeader.crc(of: Array(bytes[lbaSize..<2 * lbaSize]), sizeBytes: headerBytes)
        bytes.setLittleEndian(crc, at: lbaSize + 16)
    }
}
