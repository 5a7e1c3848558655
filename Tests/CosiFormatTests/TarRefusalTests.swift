import CosiFormat
import Foundation
import Testing

/// The error of scanning an archive that is `bytes`, truncation included.
func scanError(_ bytes: [UInt8]) -> FormatError? {
    var scanner = TarScanner()
    do {
        _ = try scanner.feed(from: bytes)
        return try scanner.end(at: UInt64(bytes.count)).truncation
    } catch {
        return error
    }
}

/// Headers that must be refused, built by Python from the field that is wrong.
@Suite struct TarRefusalTests {
    /// `make` is Python: an expression of the archive's bytes. `h(name, type, data, **fields)` makes one entry.
    private func error(_ make: String) throws -> FormatError? {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                def h(name="n", type=b"0", data=b"", size=None, raw_size=None, uid=0):
                    m = tarfile.TarInfo(name); m.type = type; m.size = len(data) if size is None else size
                    b = bytearray(m.tobuf(tarfile.GNU_FORMAT))
                    if raw_size is not None:
                        b[124:136] = raw_size
                        b[148:156] = b" " * 8
                        b[148:156] = b"%06o\\0 " % sum(b)
                    return bytes(b) + data + bytes(-len(data) % 512)
                end = bytes(1024)
                open("x.tar", "wb").write(\(make))
                """, in: directory)
            return scanError(try directory.appendingPathComponent("x.tar").bytes())
        }
    }

    @Test func theHelperMakesValidArchives() throws {
        #expect(try error("h() + h(data=b'abc') + end") == nil)
        #expect(try error("h(raw_size=b' ' * 12) + h(raw_size=b'\\0' * 12) + h(raw_size=b'      00000 ') + end") == nil)
    }

    @Test(arguments: [
        ("bytes([1]) + h()[1:] + end", "checksum"),
        ("b'PK' + bytes(600)", "checksum"),
        ("h(raw_size=b'00000000008 ') + end", "octal"),
        ("h(raw_size=b'0000 0000000') + end", "octal"),
        ("h(raw_size=b'\\xff' * 12) + end", "negative"),
        ("h(raw_size=b'\\xc0' + bytes(11)) + end", "negative"),
        ("h(raw_size=b'\\x80\\0\\0\\0' + b'\\xff' * 8) + end", "2^63"),
        ("h(raw_size=b'\\x80\\1' + bytes(10)) + end", "2^63"),
        ("h(raw_size=b'\\x80\\0\\0\\0\\x7f' + b'\\xff' * 7) + end", "2^63"),
        ("h(type=b'x', data=bytes(65537)) + h() + end", "65537 bytes, more than 65536"),
        ("h(type=b'L', data=b'a' * 65537) + h() + end", "65537 bytes, more than 65536"),
        ("h(type=b'g', data=bytes(65537)) + h() + end", "65537 bytes, more than 65536"),
        ("h(type=b'L', data=b'a' * 4097) + h() + end", "4097 bytes, more than 4096"),
        ("h(type=b'x', data=b'4105 path=' + b'a' * 4097 + b'\\n') + h() + end", "PAX record"),
        ("h(type=b'x', data=b'4108 path=' + b'a' * 4097 + b'\\n') + h() + end", "4097 bytes, more than 4096"),
        ("h() * 4097 + end", "more than 4096 entries"),
        ("h(type=b'g', data=b'6 a=b\\n') * 17 + h() + end", "extended headers in a row"),
        ("h(type=b'x', data=b'6 a=b\\n') + end", "entry must follow"),
        ("h(type=b'L', data=b'name') + end", "entry must follow"),
        ("h(type=b'x', data=b'6 a=bc') + h() + end", "newline"),
        ("h(type=b'x', data=b'6 abcd\\n'[:6]) + h() + end", "newline"),
        ("h(type=b'x', data=b'7 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'1 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'0 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'-6 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'99999999999999999999999 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'18446744073709551615 a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'a=b\\n') + h() + end", "valid length"),
        ("h(type=b'x', data=b'12 path=a\\0b\\n') + h() + end", "NUL"),
        ("h(type=b'x', data=b'28 size=9223372036854775808\\n') + h() + end", "PAX size"),
        ("h(type=b'x', data=b'28 size=9223372036854775807\\n') + h() + end", "beyond 2^63"),
        ("h(type=b'x', data=b'11 size=-1\\n') + h() + end", "PAX size"),
    ])
    func aHarmfulOrDamagedHeaderIsRefused(make: String, expected: String) throws {
        let error = try #require(try error(make), "accepted \(make)")
        #expect(error.description.contains(expected), "\(make): \(error)")
    }

    @Test func fourThousandNinetySixEntriesAreAccepted() throws {
        #expect(try error("h() * 4096 + end") == nil)
    }
}
