extension TarHeader {
    /// Two blocks of zeros (POSIX.1-2017, pax, "ustar Interchange Format").
    package static let endMarker = [UInt8](repeating: 0, count: 2 * blockBytes)

    /// Bytes from the end of an entry's data to its next block.
    package static func paddingBytes(after sizeBytes: UInt64) -> Int {
        let block = UInt64(blockBytes)
        return Int((block - sizeBytes % block) % block)
    }

    /// What a USTAR name field has; longer names take more header blocks, and nobody needs them.
    package static let nameFieldBytes = 100
    /// The largest size that 11 octal digits have: 8 GiB less one.
    private static let octalSizeMax: UInt64 = (1 << 33) - 1

    /// The one header block of a regular file: owner root, mode 0644, time 0, so that equal files make equal archives.
    ///
    /// It is one block whatever the size. From 8 GiB on the size is base-256 in a header of GNU's form (GNU tar manual, "Basic
    /// Tar Format"), which all tars of today read.
    ///
    /// - Parameters:
    ///   - name: 1 to ``nameFieldBytes`` bytes.
    ///   - sizeBytes: at most `Int64.max`.
    package static func block(name: String, sizeBytes: UInt64) -> [UInt8] {
        precondition(1...nameFieldBytes ~= name.utf8.count && sizeBytes <= Int64.max)
        let isLarge = sizeBytes > octalSizeMax
        var block = [UInt8](repeating: 0, count: blockBytes)
        func put(_ text: some Sequence<UInt8>, _ offset: Int) {
            for (index, byte) in text.enumerated() { block[offset + index] = byte }
        }
        func putOctal(_ value: UInt64, _ offset: Int, digits: Int) {
            let text = String(value, radix: 8)
            put((String(repeating: "0", count: digits - text.utf8.count) + text).utf8, offset)
        }
        put(name.utf8, 0)
        putOctal(0o644, 100, digits: 7)
        putOctal(0, 108, digits: 7)
        putOctal(0, 116, digits: 7)
        if isLarge {
            block[124] = 0x80
            for index in 0..<8 { block[128 + index] = UInt8(truncatingIfNeeded: sizeBytes >> (8 * UInt64(7 - index))) }
        } else {
            putOctal(sizeBytes, 124, digits: 11)
        }
        putOctal(0, 136, digits: 11)
        block[156] = UInt8(ascii: "0")
        put(isLarge ? "ustar  \u{0}".utf8 : "ustar\u{0}00".utf8, 257)
        put("root".utf8, 265)
        put("root".utf8, 297)
        // GNU's form has no device numbers in a file's header.
        if !isLarge {
            putOctal(0, 329, digits: 7)
            putOctal(0, 337, digits: 7)
        }
        put(repeatElement(UInt8(ascii: " "), count: 8), 148)
        putOctal(block.reduce(0) { $0 + UInt64($1) }, 148, digits: 6)
        block[154] = 0
        return block
    }
}
