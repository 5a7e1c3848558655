/// One 512-byte header block of a tar archive (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual,
/// "Basic Tar Format"), read field by field.
package struct TarHeader {
    /// Prefix and name, joined, as recorded.
    let nameBytes: [UInt8]
    let typeFlag: UInt8
    /// The size field, whatever the type; at most `Int64.max`.
    let sizeBytes: UInt64

    package static let blockBytes = 512

    /// - Parameter block: exactly one block.
    /// - Parameter place: its name in errors.
    init(_ block: [UInt8], place: String) throws(FormatError) {
        guard block.count == Self.blockBytes else {
            throw FormatError(.tar, place: place, problem: "is \(block.count) bytes, must be \(Self.blockBytes)")
        }
        try Self.checkSum(of: block, place: place)
        var name = Self.text(block[0..<100])
        // Only POSIX archives have a prefix: GNU's magic is "ustar  \0" and it stores times there; v7 has no magic.
        if Array(block[257..<263]) == Array("ustar\0".utf8) {
            let prefix = Self.text(block[345..<500])
            if !prefix.isEmpty { name = prefix + [UInt8(ascii: "/")] + name }
        }
        nameBytes = name
        typeFlag = block[156]
        sizeBytes = try Self.number(block[124..<136], of: place)
        // GNU's old sparse files put more headers before the data, which the size field does not include.
        if typeFlag == UInt8(ascii: "S"), block[482] != 0 {
            throw FormatError(
                .tar, place: place, problem: "is a GNU sparse file with extension blocks, which is not supported")
        }
    }

    /// Up to the first NUL, or the whole field.
    private static func text(_ field: ArraySlice<UInt8>) -> [UInt8] {
        Array(field.prefix { $0 != 0 })
    }

    /// The sum of all bytes, with the checksum field counted as spaces. Old archivers summed signed bytes.
    private static func checkSum(of block: [UInt8], place: String) throws(FormatError) {
        var unsigned = 0
        var signed = 0
        for (index, byte) in block.enumerated() {
            let counted = 148..<156 ~= index ? UInt8(ascii: " ") : byte
            unsigned += Int(counted)
            signed += Int(Int8(bitPattern: counted))
        }
        let recorded: UInt64?
        do throws(FormatError) {
            recorded = try number(block[148..<156], of: place)
        } catch {
            recorded = nil
        }
        guard let recorded, let sum = Int(exactly: recorded), sum == unsigned || sum == signed else {
            throw FormatError(
                .tar, place: place, problem: "has a wrong checksum: this is not a tar archive, or it is damaged")
        }
    }

    /// Parses a number: octal digits surrounded by spaces or NULs, or base-256 (GNU) if the top bit is set.
    private static func number(_ field: ArraySlice<UInt8>, of place: String) throws(FormatError) -> UInt64 {
        let tooLarge = FormatError(.tar, place: place, problem: "states a number that is negative or over 2^63 - 1")
        if let first = field.first, first & 0x80 != 0 {
            var value: UInt64 = 0
            for (index, byte) in field.enumerated() {
                // Bit 6 of the first byte is the sign.
                let digit = index == 0 ? byte & 0x7F : byte
                guard value >> 55 == 0, index > 0 || digit & 0x40 == 0 else { throw tooLarge }
                value = value << 8 | UInt64(digit)
            }
            guard value <= Int64.max else { throw tooLarge }
            return value
        }
        let isPadding: (UInt8) -> Bool = { $0 == 0 || $0 == UInt8(ascii: " ") }
        let digits = field.drop(while: isPadding).prefix { !isPadding($0) }
        guard field[digits.endIndex...].allSatisfy(isPadding) else {
            throw FormatError(.tar, place: place, problem: "holds a number that is not octal")
        }
        var value: UInt64 = 0
        for byte in digits {
            guard UInt8(ascii: "0")...UInt8(ascii: "7") ~= byte else {
                throw FormatError(.tar, place: place, problem: "holds a number that is not octal")
            }
            guard value >> 60 == 0 else { throw tooLarge }
            value = value << 3 | UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }
}
