/// A GUID in the mixed-endian form of GPT: the first three groups little-endian, the rest as written
/// (UEFI 2.10, appendix A).
public struct GUID: Sendable, Hashable, CustomStringConvertible {
    /// The 16 bytes in the order of the text form.
    private let high: UInt64
    private let low: UInt64

    /// The type of an unused entry.
    package static let zero = GUID(high: 0, low: 0)
    /// The EFI system partition.
    package static let efiSystemPartition = GUID(high: 0xC12A_7328_F81F_11D2, low: 0xBA4B_00A0_C93E_C93B)

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads `8-4-4-4-12` hexadecimal digits of any case; nil for anything else.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return nil }
        var digits: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [8, 13, 18, 23].contains(index) {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                guard let digit = hexDigit(byte) else { return nil }
                digits.append(digit)
            }
        }
        high = digits[..<16].reduce(0) { $0 << 4 | UInt64($1) }
        low = digits[16...].reduce(0) { $0 << 4 | UInt64($1) }
    }

    /// Reads 16 bytes in GPT's byte order. The caller has checked that they are there.
    init(onDisk bytes: [UInt8], at offset: Int) {
        let order = [3, 2, 1, 0, 5, 4, 7, 6]
        high = order.reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
        low = (8..<16).reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
    }

    /// Lower-case text, such as `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
    public var description: String {
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: digits - text.utf8.count) + text
        }
        return [
            hex(high >> 32, 8), hex(high >> 16 & 0xFFFF, 4), hex(high & 0xFFFF, 4),
            hex(low >> 48, 4), hex(low & 0xFFFF_FFFF_FFFF, 12),
        ].joined(separator: "-")
    }
}
