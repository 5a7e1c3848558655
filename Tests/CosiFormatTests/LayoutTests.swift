import CosiFormat
import Foundation
import Testing

/// The sample's tar entries, written by Python's tarfile in the order given.
private struct TarSample {
    /// (name, size, type)
    var members: [(String, UInt64, String)] = [
        ("cosi-marker", 0, "0"), ("metadata.json", 5000, "0"), (MetadataSample.gpt.path, 1000, "0"),
        (MetadataSample.esp.path, 1000, "0"), (MetadataSample.hash.path, 1000, "0"),
        (MetadataSample.root.path, 1000, "0"),
    ]

    func entries() throws -> [TarEntry] {
        try withTemporaryDirectory { directory in
            let list = members.map { "(\"\($0.0)\", \($0.1), b\"\($0.2)\")" }.joined(separator: ", ")
            try python(
                """
                import tarfile
                with open("x.tar", "wb") as f:
                    for name, size, type in [\(list)]:
                        m = tarfile.TarInfo(name); m.size = size; m.type = type
                        f.write(m.tobuf() + bytes((size + 511) // 512 * 512 if type == b"0" else 0))
                    f.write(bytes(1024))
                """, in: directory)
            var scanner = TarScanner()
            return try scanner.feed(from: directory.appendingPathComponent("x.tar").bytes())
        }
    }

    mutating func move(_ from: Int, to: Int) { members.insert(members.remove(at: from), at: to) }
}

private func sampleGPT(_ change: (inout [UInt8]) -> Void = { _ in }) throws -> GPT {
    var primary = try SgdiskDisk.primary()
    change(&primary)
    reseal(&primary)
    return try GPT.parse(primary: primary, blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes).0
}

private func check(
    _ changes: [(String, String?)] = [], _ tar: TarSample = TarSample(), gpt: GPT? = nil
) throws -> (CosiLayout, [FormatWarning]) {
    let entries = try tar.entries()
    let metadata = try MetadataSample.with(changes).parse().0
    // As a caller does: metadata and GPT first.
    #expect(try CosiLayout.metadataEntry(in: entries).isNamed("metadata.json"))
    let image = try CosiLayout.gptImage(metadata: metadata, entries: entries)
    #expect(image.sha384 == metadata.disk.gptRegions[0].image.sha384)
    return try CosiLayout.check(metadata: metadata, entries: entries, gpt: gpt ?? sampleGPT())
}

@Suite struct LayoutTests {
    @Test func imagesComeWithTheirPlacesInTheFileAndOnTheDisk() throws {
        let (layout, warnings) = try check()
        #expect(warnings.isEmpty)
        #expect(layout.images.map(\.number) == [1, 2, 3])
        // Marker 512, metadata 512 + 5120, then 512 + 1024 an image.
        #expect(layout.images.map(\.fileOffset) == [8192, 9728, 11264])
        #expect(layout.images.map(\.partition.firstLBA) == [2048, 10240, 20480])
        #expect(layout.images.map(\.decodedBytes) == [8192 * 512, 4096, 20480 * 512])
        #expect(layout.images.map { $0.filesystem?.mountPoint } == ["/boot/efi", nil, "/"])
        #expect(layout.images.map { $0.sha384[0] } == [0x11, 0x22, 0xAA])
        let metadata = try MetadataSample().parse().0
        let gpt = try CosiLayout.gptImage(metadata: metadata, entries: TarSample().entries())
        #expect((gpt.path, gpt.fileOffset) == (MetadataSample.gpt.path, 6656))
        #expect((gpt.compressedSizeBytes, gpt.decodedBytes) == (1000, 17408))
    }

    @Test func imagesAreInFileOrder() throws {
        var tar = TarSample()
        tar.move(5, to: 3)
        #expect(try check([], tar).0.images.map(\.number) == [3, 1, 2])
    }

    @Test func otherEntriesAreIgnored() throws {
        var tar = TarSample()
        tar.members += [("README", 10, "0"), ("README", 10, "0"), ("images/", 0, "5"), ("images/other.zst", 3, "0")]
        let (layout, warnings) = try check([], tar)
        #expect(layout.images.count == 3)
        #expect(warnings.isEmpty)
    }

    @Test func aPartitionThatIsNotOfTheMetadatasTypeIsAWarning() throws {
        let (_, warnings) = try check([("images[1].partType", "\"0fc63daf-8483-4772-8e79-3d69d8477de4\"")])
        #expect(warnings.map(\.place) == ["metadata.json: filesystem '\(MetadataSample.root.path)'"])
    }

    @Test func aMissingMarkerIsAWarning() throws {
        var tar = TarSample()
        tar.members.removeFirst()
        let (_, warnings) = try check([], tar)
        #expect(warnings.map(\.description) == ["tar archive does not begin with 'cosi-marker'"])
    }

    @Test func aMarkerFurtherDownIsAWarning() throws {
        var tar = TarSample()
        tar.move(0, to: 1)
        let (_, warnings) = try check([], tar)
        #expect(warnings.map(\.place) == ["tar archive"])
    }

    @Test func namesWithDotSlashAreOneWarning() throws {
        var tar = TarSample()
        tar.members = tar.members.map { ("./" + $0.0, $0.1, $0.2) }
        let (layout, warnings) = try check([], tar)
        #expect(layout.images.map(\.number) == [1, 2, 3])
        #expect(warnings.map(\.description).filter { $0.contains("begins with './'") }.count == 1)
    }

    @Test func metadataBehindAnImageIsAWarning() throws {
        var tar = TarSample()
        tar.move(1, to: 5)
        let (_, warnings) = try check([], tar)
        #expect(warnings.map(\.place).contains("tar entry 'metadata.json'"))
    }

    @Test func theGPTBehindAnImageIsAWarning() throws {
        var tar = TarSample()
        tar.move(2, to: 3)
        let (_, warnings) = try check([], tar)
        #expect(warnings.map(\.place).contains("tar entry '\(MetadataSample.gpt.path)'"))
    }

    /// The main producer writes them in the order of their numbers, which is not always the disk's.
    @Test func regionsOutOfPhysicalOrderAreNoWarning() throws {
        // Entry 2 swaps places with entry 3.
        let gpt = try sampleGPT { bytes in
            let two = Array(bytes[1024 + 128 + 32..<1024 + 128 + 48])
            bytes.replaceSubrange(1024 + 128 + 32..<1024 + 128 + 48, with: bytes[1024 + 256 + 32..<1024 + 256 + 48])
            bytes.replaceSubrange(1024 + 256 + 32..<1024 + 256 + 48, with: two)
        }
        let small = [
            ("disk.gptRegions[3].image.uncompressedSize", "512"), ("images[1].image.uncompressedSize", "512"),
        ]
        let (layout, warnings) = try check(small, gpt: gpt)
        #expect(warnings.isEmpty)
        #expect(layout.images.map(\.number) == [1, 2, 3])
    }

    @Test func aPartitionWithoutAnImageIsAWarning() throws {
        let gpt = try sampleGPT { bytes in
            let one = Array(bytes[1024..<1024 + 128])
            bytes.replaceSubrange(1024 + 9 * 128..<1024 + 10 * 128, with: one)
            bytes.put(UInt64(50000), at: 1024 + 9 * 128 + 32)
            bytes.put(UInt64(50000), at: 1024 + 9 * 128 + 40)
        }
        let (layout, warnings) = try check(gpt: gpt)
        #expect(layout.images.count == 3)
        #expect(warnings.map(\.place).contains("GPT entry 10 'EFI'"))
    }
}

@Suite struct LayoutRefusalTests {
    private func error(
        _ changes: [(String, String?)] = [], gpt: GPT? = nil, _ change: (inout TarSample) -> Void = { _ in }
    ) throws -> FormatError? {
        var tar = TarSample()
        change(&tar)
        return try formatError { try check(changes, tar, gpt: gpt) }
    }

    @Test(arguments: 1...5)
    func aMissingEntryIsRefused(index: Int) throws {
        let name = TarSample().members[index].0
        let error = try #require(try error { $0.members.remove(at: index) })
        #expect(error.description.contains("'\(name)'"))
    }

    @Test(arguments: 1...5)
    func anEntryThatIsThereTwiceIsRefused(index: Int) throws {
        let name = TarSample().members[index].0
        #expect(
            try error { $0.members.append($0.members[index]) }
                == FormatError(.layout, place: "tar entry '\(name)'", problem: "is there twice"))
        // With and without './' it is the same name.
        #expect(
            try error { $0.members.append(("./" + name, $0.members[index].1, "0")) }?.problem == "is there twice")
    }

    @Test(arguments: 1...5)
    func anEntryThatIsNoRegularFileIsRefused(index: Int) throws {
        let name = TarSample().members[index].0
        #expect(
            try error { $0.members[index].2 = "2" }
                == FormatError(.layout, place: "tar entry '\(name)'", problem: "is not a regular file"))
    }

    @Test(arguments: 2...5)
    func anEntryOfAnotherSizeIsRefused(index: Int) throws {
        let name = TarSample().members[index].0
        for size in [0, 999, 1001] as [UInt64] {
            #expect(
                try error { $0.members[index].1 = size }
                    == FormatError(
                        .layout, place: "tar entry '\(name)'",
                        problem: "is \(size) bytes, but metadata.json gives compressedSize 1000"))
        }
    }

    /// Its bytes have no place, which is a warning; but an image that is nowhere is a fault.
    @Test func aHashImageWithoutARegionMustBeInTheFile() throws {
        let place = "metadata.json: images[1].verity.image.path"
        #expect(try error([("disk.gptRegions[2]", nil)]) == nil)
        #expect(try error([("disk.gptRegions[2]", nil)]) { $0.members.remove(at: 4) }?.place == place)
        #expect(
            try error([("disk.gptRegions[2]", nil)]) { $0.members[4].1 = 999 }?.place == "tar entry '\(MetadataSample.hash.path)'"
        )
    }

    @Test func metadataOver16MiBIsRefusedBeforeItIsRead() throws {
        let error = try error { $0.members[1].1 = 16 << 20 | 1 }
        #expect(error?.problem == "is 16777217 bytes, more than 16777216")
    }

    @Test func aRegionWithoutAGPTEntryIsRefused() throws {
        let error = try #require(try error([("disk.gptRegions[2].number", "4")]))
        #expect(error.description.contains("is for partition 4, which the GPT does not have"))
        #expect(error.place == "metadata.json: region '\(MetadataSample.hash.path)'")
    }

    @Test func anImageLargerThanItsPartitionIsRefused() throws {
        let changes = ["images[1].verity.image", "disk.gptRegions[2].image"]
        func with(_ size: Int) -> [(String, String?)] { changes.map { ($0 + ".uncompressedSize", "\(size)") } }
        #expect(try error(with(10240 * 512)) == nil)
        let error = try #require(try error(with(10240 * 512 + 1)))
        #expect(error.problem == "has uncompressedSize 5242881, more than the 5242880 bytes of partition 2")
    }

    @Test func aGPTForAnotherDiskIsRefused() throws {
        let made = PythonGPT(diskBlocks: 262144, partitions: [(1, 2048, 10239), (2, 10240, 20479), (3, 20480, 40959)])
        #expect(try error(gpt: made.parse().0)?.place == "GPT")
    }
}

@Suite struct LayoutStreamTests {
    /// A stream: each entry is checked before what follows it is known.
    @Test func entriesAreCheckedOneByOne() throws {
        let metadata = try MetadataSample().parse().0
        var tar = TarSample()
        tar.members[4].1 = 999
        let entries = try tar.entries()
        #expect(entries.map { metadata.region(for: $0)?.kind }[2] == .primaryGPT)
        #expect(try CosiLayout.gptImage(metadata: metadata, entries: [entries[2]]).fileOffset == entries[2].dataOffset)

        var checker = try CosiEntryChecker(metadata: metadata, gpt: sampleGPT())
        #expect(try entries[..<3].map { try checker.check($0)?.number } == [nil, nil, nil])
        #expect(try checker.check(entries[3])?.number == 1)
        #expect(try formatError { try checker.check(entries[4]) }?.place == "tar entry '\(MetadataSample.hash.path)'")
    }

    @Test func whatIsMissingAtTheEndIsRefused() throws {
        var checker = try CosiEntryChecker(metadata: try MetadataSample().parse().0, gpt: sampleGPT())
        for entry in try TarSample().entries().dropLast() { _ = try checker.check(entry) }
        let checked = checker
        #expect(
            try formatError { try checked.finish() }
                == FormatError(
                    .entryMissing, place: "tar entry '\(MetadataSample.root.path)'", problem: "is missing; metadata.json names it"
                ))
    }

    @Test func metadataThatDoesNotFitTheGPTIsRefusedBeforeAnyEntry() throws {
        let metadata = try MetadataSample.with([("disk.gptRegions[2].number", "4")]).parse().0
        #expect(try formatError { try CosiEntryChecker(metadata: metadata, gpt: sampleGPT()) } != nil)
    }
}
