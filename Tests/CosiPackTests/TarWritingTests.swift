import Foundation
import Testing

@testable import CosiFormat
@testable import TestSupport

/// Headers as other tars read them.
@Suite struct TarWritingTests {
    @Test(
        "GNU tar, Python and our scanner read a size from a header, on both sides of 8 GiB",
        arguments: [0, 1, 8_589_934_591, 8_589_934_592, 5_000_000_000_000] as [UInt64])
    func sizes(sizeBytes: UInt64) throws {
        let block = TarHeader.block(name: "images/a_1.raw.zst", sizeBytes: sizeBytes)
        #expect(block.count == 512)
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "a.tar").path
            try Data(block).write(to: URL(filePath: path))
            let end = 512 + sizeBytes + UInt64(TarHeader.paddingBytes(after: sizeBytes))
            try run("truncate", ["-s", "\(end + UInt64(TarHeader.endMarker.count))", path])
            let words = try run("tar", ["--list", "--verbose", "--numeric-owner", "--file", path]).split(separator: " ")
            #expect(words.first == "-rw-r--r--" && words.contains("\(sizeBytes)"))
            let python = "import sys,tarfile; m=tarfile.open(sys.argv[1]).getmembers(); print(m[0].name,m[0].size,len(m))"
            #expect(try run("python3", ["-c", python, path]) == "images/a_1.raw.zst \(sizeBytes) 1\n")
        }
        var scanner = TarScanner()
        let entry = try #require(try scanner.feed(block))
        #expect(entry.sizeBytes == sizeBytes && entry.isNamed("images/a_1.raw.zst") && entry.isRegularFile)
    }
}
