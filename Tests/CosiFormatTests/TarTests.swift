import CosiFormat
import Foundation
import Testing

/// What another reader finds in an archive.
private struct Listed: Codable, Equatable, CustomStringConvertible {
    let name: String
    let size: UInt64
    let offset: UInt64
    let regular: Bool
    var description: String { "\(name) \(size)@\(offset)\(regular ? "" : " not regular")" }
}

/// Python's tarfile as the judge.
private func pythonListing(of archive: URL) throws -> [Listed] {
    let output = try python(
        """
        import tarfile, json
        print(json.dumps([dict(name=m.name + ("/" if m.isdir() else ""), offset=m.offset_data,
                               size=m.size if m.isreg() else 0, regular=m.isreg() and not m.issparse())
                          for m in tarfile.open("\(archive.lastPathComponent)", "r:")]))
        """, in: archive.deletingLastPathComponent())
    return try JSONDecoder().decode([Listed].self, from: Data(output.utf8))
}

/// Scans by random access, as a reader with range requests does.
private func scan(_ archive: URL) throws -> [TarEntry] {
    let attributes = try FileManager.default.attributesOfItem(atPath: archive.path)
    let size = try #require(attributes[.size] as? UInt64)
    var scanner = TarScanner()
    var entries: [TarEntry] = []
    while let needs = scanner.needs {
        if needs.upperBound > size {
            _ = try scanner.end(at: size)
            break
        }
        let bytes = try archive.bytes(at: needs.lowerBound, count: Int(needs.upperBound - needs.lowerBound))
        if bytes.isEmpty { break }
        if let entry = try scanner.feed(bytes) { entries.append(entry) }
    }
    return entries
}

private func listing(_ entries: [TarEntry]) -> [Listed] {
    entries.map {
        Listed(
            name: ($0.nameHadDotSlash ? "./" : "") + $0.name, size: $0.isRegularFile ? $0.sizeBytes : 0,
            offset: $0.dataOffset, regular: $0.isRegularFile)
    }
}

/// A directory with a marker, metadata and two images, one of them deep.
private func makeTree(in directory: URL, longPart: String = "b") throws {
    let deep = directory.appendingPathComponent("images/\(longPart)", isDirectory: true)
    try FileManager.default.createDirectory(at: deep, withIntermediateDirectories: true)
    try directory.appendingPathComponent("cosi-marker").write([])
    try directory.appendingPathComponent("metadata.json").write(Array("{}".utf8))
    try directory.appendingPathComponent("images/a.zst").write((0..<1000).map { UInt8($0 % 251) })
    try deep.appendingPathComponent("c.zst").write([UInt8](repeating: 7, count: 512))
}

private let members = ["cosi-marker", "metadata.json", "images/a.zst"]

@Suite struct TarTests {
    @Test(arguments: ["v7", "oldgnu", "ustar", "gnu", "pax"])
    func entriesOfEveryFormatAreFoundWhereTheyAre(format: String) throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            try run("tar", ["--format=\(format)", "-cf", "x.tar"] + members + ["images/b"], in: directory)
            let entries = try scan(archive)
            #expect(listing(entries) == (try pythonListing(of: archive)))
            #expect(entries.map(\.name) == members + ["images/b/", "images/b/c.zst"])
            #expect(entries.map(\.isRegularFile) == [true, true, true, false, true])
            let a = entries[2]
            #expect(
                try archive.bytes(at: a.dataOffset, count: Int(a.sizeBytes)) == (0..<1000).map { UInt8($0 % 251) })
        }
    }

    @Test func aUstarNameOver100BytesIsJoinedFromItsPrefix() throws {
        try withTemporaryDirectory { directory in
            let part = String(repeating: "p", count: 70)
            try makeTree(in: directory, longPart: part + "/" + part)
            try run("tar", ["--format=ustar", "-cf", "x.tar", "images"], in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let entries = try scan(archive)
            #expect(listing(entries) == (try pythonListing(of: archive)))
            #expect(entries.contains { $0.isNamed("images/\(part)/\(part)/c.zst") })
        }
    }

    @Test(arguments: ["gnu", "pax"])
    func namesAndLinkTargetsOverUstarsLimitAreRead(format: String) throws {
        try withTemporaryDirectory { directory in
            let part = String(repeating: "long", count: 50)
            try makeTree(in: directory, longPart: part + "/" + part)
            try run("ln", ["-s", part + "/" + part, "link"], in: directory)
            try run("tar", ["--format=\(format)", "-cf", "x.tar", "link", "images", "cosi-marker"], in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let entries = try scan(archive)
            #expect(listing(entries) == (try pythonListing(of: archive)))
            #expect(entries.contains { $0.isNamed("images/\(part)/\(part)/c.zst") && $0.sizeBytes == 512 })
            #expect(entries.last?.isNamed("cosi-marker") == true)
        }
    }

    @Test func aLeadingDotSlashIsRemovedAndTold() throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory)
            try run("tar", ["-cf", "x.tar", "./cosi-marker", "metadata.json"], in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.map(\.name) == ["cosi-marker", "metadata.json"])
            #expect(entries.map(\.nameHadDotSlash) == [true, false])
        }
    }

    /// Sizes over 8 GiB do not fit 11 octal digits: GNU writes them in base 256, PAX in a record.
    @Test(arguments: ["GNU_FORMAT", "PAX_FORMAT"])
    func sizesOver8GiBAreRead(format: String) throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                with open("x.tar", "wb") as f:
                    big = tarfile.TarInfo("images/big.zst"); big.size = (9 << 30) + 5
                    f.write(big.tobuf(tarfile.\(format)))
                    f.seek((big.size + 511) // 512 * 512, 1)
                    f.write(tarfile.TarInfo("after").tobuf(tarfile.\(format)) + bytes(1024))
                """, in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let entries = try scan(archive)
            #expect(entries.map(\.name) == ["images/big.zst", "after"])
            #expect(entries.first?.sizeBytes == 9 << 30 + 5)
            #expect(listing(entries) == (try pythonListing(of: archive)))
        }
    }

    @Test func paxRecordsOverrideTheHeaderAndOtherKeysAreIgnored() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile, io
                with tarfile.open("x.tar", "w", format=tarfile.PAX_FORMAT,
                                  pax_headers={"comment": "global", "SCHILY.dev": "1"}) as t:
                    for name in ["plain", "images/ü" + "x" * 120, "last"]:
                        m = tarfile.TarInfo(name); m.size = 700; m.mtime = 12345.678
                        m.pax_headers = {"comment": "a=b c\\n"}
                        t.addfile(m, io.BytesIO(bytes(700)))
                """, in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let entries = try scan(archive)
            #expect(entries.map(\.name) == ["plain", "images/ü" + String(repeating: "x", count: 120), "last"])
            #expect(listing(entries) == (try pythonListing(of: archive)))
        }
    }

    @Test func aGlobalPathOrSizeHoldsUntilAnEntryOverridesIt() throws {
        try withTemporaryDirectory { directory in
            // tarfile writes global records as given, and path and size only where the header cannot hold them.
            try python(
                """
                import tarfile
                def block(type, name, data):
                    m = tarfile.TarInfo(name); m.type = type; m.size = len(data)
                    return m.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
                open("x.tar", "wb").write(
                    block(b"g", "global", b"18 path=from-glob\\n" + b"12 size=600\\n")
                    + block(b"0", "one", b"")  + bytes(1024)
                    + block(b"x", "local", b"14 path=mine!\\n" + b"10 size=3\\n") + block(b"0", "two", b"") + bytes(512)
                    + block(b"x", "local", b"8 path=\\n" + b"8 size=\\n") + block(b"0", "three", b"abc")
                    + bytes(1024))
                """, in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.map(\.name) == ["from-glob", "mine!", "three"])
            #expect(entries.map(\.sizeBytes) == [600, 3, 3])
        }
    }

    @Test func aPaxPathGoesBeforeAGNULongName() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                def block(type, name, data):
                    m = tarfile.TarInfo(name); m.type = type; m.size = len(data)
                    return m.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
                pax, gnu = block(b"x", "local", b"12 path=pax\\n"), block(b"L", "long", b"gnu\\0")
                open("x.tar", "wb").write(
                    pax + gnu + block(b"0", "one", b"") + gnu + pax + block(b"0", "two", b"")
                    + gnu + block(b"0", "three", b"") + bytes(1024))
                """, in: directory)
            #expect(try scan(directory.appendingPathComponent("x.tar")).map(\.name) == ["pax", "pax", "gnu"])
        }
    }

    @Test func nothingBehindTheEndMarkerIsAskedFor() throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory)
            try run("tar", ["--format=ustar", "-b1", "-cf", "x.tar"] + members, in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let whole = try archive.bytes()
            var scanner = TarScanner()
            let entries = try scanner.feed(from: whole + Array("conectix footer".utf8) + [255])
            #expect(entries.map(\.name) == members)
            #expect(scanner.needs == nil)
            #expect(scanner.endMarkerOffset == UInt64(whole.count - 1024))
            #expect(try scanner.end(at: 0).warning == nil)
            #expect(throws: FormatError.self) { try scanner.feed([UInt8](repeating: 1, count: 512)) }
        }
    }

    @Test func aStreamThatSkipsTheDataFindsTheSameEntries() throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory, longPart: String(repeating: "s", count: 150))
            try run("tar", ["--format=pax", "-cf", "x.tar"] + members + ["images"], in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let bytes = try archive.bytes()
            // Headers from a small first piece, the rest one by one.
            var scanner = TarScanner()
            var entries = try scanner.feed(from: Array(bytes.prefix(1700)))
            #expect(!entries.isEmpty)
            while let needs = scanner.needs {
                if let entry = try scanner.feed(Array(bytes[Int(needs.lowerBound)..<Int(needs.upperBound)])) {
                    entries.append(entry)
                }
            }
            #expect(entries == (try scan(archive)))
        }
    }

    @Test func aFileWithoutEndMarkerMayEndBetweenEntriesOnly() throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory, longPart: String(repeating: "t", count: 150))
            try run("tar", ["--format=gnu", "-b1", "-cf", "x.tar"] + members + ["images"], in: directory)
            let archive = directory.appendingPathComponent("x.tar")
            let whole = try archive.bytes()
            let entries = try scan(archive)
            let starts = Set(entries.map(\.headerOffset) + [UInt64(whole.count - 1024)])
            let nearBlocks = (1..<(whole.count - 512)).filter { [0, 1, 100, 511].contains($0 % 512) }
            for length in nearBlocks {
                let isTruncated = scanError(Array(whole[..<length])) != nil
                #expect(isTruncated == !starts.contains(UInt64(length)), "cut at \(length)")
            }
            let error = try #require(scanError(Array(whole[..<700])))
            #expect(error.description.contains("truncated: it ends at byte 700"))
        }
    }

    @Test func whatIsNotAPlainFileIsReportedAsSuch() throws {
        try withTemporaryDirectory { directory in
            try makeTree(in: directory)
            try run("ln", ["-s", "metadata.json", "soft"], in: directory)
            try run("ln", ["metadata.json", "hard"], in: directory)
            try run("mkfifo", ["fifo"], in: directory)
            try run("tar", ["-cf", "x.tar", "metadata.json", "soft", "hard", "fifo", "images/b"], in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.map(\.name) == ["metadata.json", "soft", "hard", "fifo", "images/b/", "images/b/c.zst"])
            #expect(entries.map(\.isRegularFile) == [true, false, false, false, false, true])
        }
    }

    @Test(arguments: ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax --sparse-version=1.0"])
    func aSparseFileIsNotRegular(format: String) throws {
        try withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("holes")
            try makeSparseFile(file, sizeBytes: 1 << 20)
            try file.overwrite([1, 2, 3], at: 500_000)
            try makeTree(in: directory)
            try run(
                "tar",
                ("--format=\(format)").split(separator: " ").map(String.init)
                    + ["-S", "-cf", "x.tar", "holes", "cosi-marker"], in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.map(\.isRegularFile) == [false, true])
            #expect(entries.last?.isNamed("cosi-marker") == true)
        }
    }

    @Test func anOldGNUSparseFileWithExtensionBlocksIsRefused() throws {
        try withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("holes")
            try makeSparseFile(file, sizeBytes: 10 << 20)
            for index in 0..<10 { try file.overwrite([1], at: UInt64(index) << 20) }
            try run("tar", ["--format=gnu", "-S", "-cf", "x.tar", "holes"], in: directory)
            let error = scanError(try directory.appendingPathComponent("x.tar").bytes())
            #expect(error?.problem.contains("sparse") == true)
        }
    }

    @Test func aNameThatIsNotUTF8IsKeptByteForByte() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                with open("x.tar", "wb") as f:
                    for name in [b"images/\\xff".decode("latin-1"), "images/\\ufffd"]:
                        encoding = "latin-1" if "\\xff" in name else "utf-8"
                        f.write(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT, encoding))
                    f.write(bytes(1024))
                """, in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.first?.nameBytes == Array("images/".utf8) + [0xFF])
            #expect(entries.map { $0.isNamed("images/\u{FFFD}") } == [false, true])
        }
    }

    @Test func canonicallyEquivalentNamesAreDifferent() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                open("x.tar", "wb").write(tarfile.TarInfo("e\\u0301").tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
                """, in: directory)
            let entry = try #require(try scan(directory.appendingPathComponent("x.tar")).first)
            #expect(entry.isNamed("e\u{301}"))
            #expect(!entry.isNamed("\u{E9}"))
        }
    }

    @Test func headersSummedAsSignedBytesAreAccepted() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                b = bytearray(tarfile.TarInfo("\\xfcmlaut").tobuf(tarfile.USTAR_FORMAT, "latin-1"))
                b[148:156] = b" " * 8
                total = sum(x - 256 if x > 127 else x for x in b)
                b[148:156] = b"%06o\\0 " % total
                open("x.tar", "wb").write(b + bytes(1024))
                """, in: directory)
            #expect(try scan(directory.appendingPathComponent("x.tar")).count == 1)
        }
    }

    @Test func headerOnlyTypesHaveNoDataWhateverTheirSizeFieldSays() throws {
        try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile
                with open("x.tar", "wb") as f:
                    for type in b"123456":
                        m = tarfile.TarInfo("n%d" % type); m.type = bytes([type]); m.size = 5000
                        f.write(m.tobuf(tarfile.USTAR_FORMAT))
                    f.write(tarfile.TarInfo("end").tobuf() + bytes(1024))
                """, in: directory)
            let entries = try scan(directory.appendingPathComponent("x.tar"))
            #expect(entries.map(\.sizeBytes) == [0, 0, 0, 0, 0, 0, 0])
            #expect(entries.last?.isNamed("end") == true)
        }
    }
}
