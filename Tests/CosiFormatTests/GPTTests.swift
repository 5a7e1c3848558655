import CosiFormat
import Foundation
import Testing

@Suite struct GPTTests {
    @Test func theTestsOwnCRCIsTheStandardOne() {
        #expect(slowCRC32("123456789".utf8) == 0xCBF4_3926)
    }

    @Test func whatSgdiskWroteIsRead() throws {
        let (gpt, warnings) = try GPT.parse(
            primary: SgdiskDisk.primary(), blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes)
        #expect(warnings.isEmpty)
        #expect(gpt.diskGUID == GUID("11111111-2222-3333-4444-555555555555"))
        #expect(gpt.firstUsableLBA == 34)
        #expect(gpt.lastUsableLBA == 131072 - 34)
        #expect(gpt.entryCount == 128)
        #expect(gpt.entrySizeBytes == 128)
        #expect(gpt.partitions.map(\.number) == [1, 2, 3])
        #expect(gpt.partitions.map(\.firstLBA) == [2048, 10240, 20480])
        #expect(gpt.partitions.map(\.lastLBA) == [10239, 20479, 40959])
        #expect(gpt.partitions.map(\.name) == ["EFI", "dätä 💾", "root"])
        #expect(gpt.partitions.map(\.attributes) == [0, 1 << 60, 0])
        #expect(gpt.partitions[0].typeGUID == .efiSystemPartition)
        #expect(gpt.partitions[0].typeGUID.description == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
        #expect(gpt.partitions[2].uniqueGUID == GUID("aaaaaaaa-0000-0000-0000-000000000003"))
        #expect(gpt.partitions[1].offsetBytes == 10240 * 512)
        #expect(gpt.partitions[1].sizeBytes == 10240 * 512)
        #expect(gpt.partition(number: 2)?.name == "dätä 💾")
        #expect(gpt.partition(number: 4) == nil)
    }

    @Test(arguments: ["", "C12A7328-F81F-11D2-BA4B-00A0C93EC93", "C12A7328F81F-11D2-BA4B-00A0C93EC93BB-", "é"])
    func whatIsNoGUIDIsNotRead(text: String) {
        #expect(GUID(text) == nil)
    }

    @Test(arguments: [
        (512, 128, 128), (512, 4, 128), (512, 1, 128), (512, 128, 256), (512, 1024, 128), (512, 64, 4096),
        (4096, 128, 128), (4096, 5, 128), (4096, 56, 512), (4096, 1024, 4096),
    ])
    func entryCountAndSizeAreTheHeaders(blockBytes: Int, count: Int, size: Int) throws {
        let (gpt, warnings) = try PythonGPT(blockBytes: blockBytes, entryCount: count, entrySize: size).parse()
        #expect(warnings.isEmpty)
        #expect(gpt.entryCount == count)
        #expect(gpt.entrySizeBytes == size)
        #expect(gpt.partitions.map(\.firstLBA) == [2048])
        #expect(gpt.partitions[0].sizeBytes == 2048 * UInt64(blockBytes))
        #expect(gpt.partitions[0].name == "part1")
    }

    @Test func theLastEntryOfTheArrayIsRead() throws {
        let (gpt, _) = try PythonGPT(partitions: [(128, 50, 50), (127, 34, 49)]).parse()
        #expect(gpt.partitions.map(\.number) == [127, 128])
    }

    @Test func aLongerHeaderAndAnArrayFurtherDownAreRead() throws {
        var made = PythonGPT(arrayLBA: 100, headerSize: 512)
        made.partitions = [(1, 132, 200)]
        #expect(try made.parse().0.partitions.count == 1)
    }

    @Test func anImageThatGoesOnUpToTheFirstUsableBlockIsReadAndBeyondRefused() throws {
        let toTheBrim = PythonGPT(firstUsable: 40, extra: 6 * 512)
        #expect(try toTheBrim.parse().0.partitions.count == 1)
        let beyond = PythonGPT(firstUsable: 40, extra: 6 * 512 + 1)
        #expect(
            throws: FormatError(
                .gpt, place: "primary-GPT image", problem: "is 20481 bytes and reaches behind the first usable block 40")
        ) { try beyond.parse() }
    }

    @Test func anAlternateHeaderElsewhereIsAWarning() throws {
        let (_, warnings) = try PythonGPT(alternate: 99_999).parse()
        #expect(warnings.map(\.place) == ["GPT header"])
        #expect(warnings[0].message.contains("99999"))
    }

    @Test func equalUniqueGUIDsAreAWarning() throws {
        var bytes = try PythonGPT(partitions: [(1, 2048, 4095), (2, 4096, 5000)]).bytes()
        for index in 0..<16 { bytes[1024 + 128 + 16 + index] = bytes[1024 + 16 + index] }
        reseal(&bytes)
        let (_, warnings) = try GPT.parse(primary: bytes, blockBytes: 512, diskSizeBytes: 131072 * 512)
        #expect(warnings.map(\.place) == ["GPT entry 2"])
    }

    @Test func aProtectivePartitionThatDoesNotBeginAtBlockOneIsAWarning() throws {
        var bytes = try PythonGPT().bytes()
        bytes[446 + 8] = 0
        let (_, warnings) = try GPT.parse(primary: bytes, blockBytes: 512, diskSizeBytes: 131072 * 512)
        #expect(warnings.map(\.place) == ["protective MBR"])
    }

    @Test func aHybridMBRIsRead() throws {
        var bytes = try PythonGPT().bytes()
        bytes.replaceSubrange(462..<478, with: bytes[446..<462])
        bytes[446 + 4] = 0x0C
        let (_, warnings) = try GPT.parse(primary: bytes, blockBytes: 512, diskSizeBytes: 131072 * 512)
        #expect(warnings.isEmpty)
    }
}

@Suite struct GPTRefusalTests {
    /// Where and why a changed region is refused; nil when it is accepted.
    private func error(sealed: Bool = true, _ change: (inout [UInt8]) -> Void) throws -> FormatError? {
        var bytes = try SgdiskDisk.primary()
        change(&bytes)
        if sealed { reseal(&bytes) }
        do {
            _ = try GPT.parse(primary: bytes, blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func resealingAloneChangesNothing() throws {
        let primary = try SgdiskDisk.primary()
        #expect(try error { _ in } == nil)
        var sealed = primary
        reseal(&sealed)
        #expect(firstDifference(sealed, primary) == nil)
    }

    @Test(arguments: [512 + 16, 512 + 24, 512 + 56, 512 + 91])
    func aHeaderByteChangedIsAWrongCRC(offset: Int) throws {
        let error = try error(sealed: false) { $0[offset] ^= 1 }
        #expect(error == FormatError(.gpt, place: "GPT header", problem: "has a wrong CRC"))
    }

    @Test(arguments: [1024, 1024 + 56, 1024 + 127 * 128 + 127])
    func anEntryByteChangedIsAWrongCRC(offset: Int) throws {
        let error = try error(sealed: false) { $0[offset] ^= 1 }
        #expect(error == FormatError(.gpt, place: "GPT entry array", problem: "has a wrong CRC"))
    }

    /// Fields of the header: offset, value, width in bytes, and what the error must say.
    @Test(
        arguments: [
            (0, 0, 1, "no signature"),
            (8, 0x0002_0000, 4, "revision 0x20000"),
            (12, 91, 4, "says it is 91 bytes"),
            (12, 513, 4, "says it is 513 bytes"),
            (12, 0xFFFF_FFFF, 4, "says it is 4294967295 bytes"),
            (24, 2, 8, "says it is at block 2"),
            (40, 33, 8, "first usable block 33 inside the entry array"),
            (40, 0, 8, "first usable block 0 inside the entry array"),
            (40, 2049, 8, "outside the usable blocks 2049"),
            (40, 131_039, 8, "behind the last one"),
            (40, .max, 8, "behind the last one"),
            (48, 131_039, 8, "last usable block 131039"),
            (48, .max, 8, "last usable block 18446744073709551615"),
            (48, 40_958, 8, "outside the usable blocks 34 to 40958"),
            (48, 33, 8, "behind the last one 33"),
            (72, 1, 8, "entry array at block 1"),
            (72, 0, 8, "entry array at block 0"),
            (72, 3, 8, "ends before the entry array"),
            (72, 1 << 55, 8, "ends before the entry array"),
            (72, .max, 8, "ends before the entry array"),
            (80, 0, 4, "has 0 entries"),
            (80, 1025, 4, "has 1025 entries"),
            (80, 0xFFFF_FFFF, 4, "has 4294967295 entries"),
            (80, 129, 4, "ends before the entry array"),
            (84, 0, 4, "entries of 0 bytes"),
            (84, 64, 4, "entries of 64 bytes"),
            (84, 384, 4, "entries of 384 bytes"),
            (84, 8192, 4, "entries of 8192 bytes"),
            (84, 0xFFFF_FF80, 4, "entries of 4294967168 bytes"),
        ] as [(Int, UInt64, Int, String)])
    func aHeaderFieldOutOfRangeIsRefused(offset: Int, value: UInt64, width: Int, expected: String) throws {
        let error = try error { bytes in
            switch width {
            case 1: bytes.put(UInt8(value), at: 512 + offset)
            case 4: bytes.put(UInt32(value), at: 512 + offset)
            default: bytes.put(value, at: 512 + offset)
            }
        }
        #expect(try #require(error).description.contains(expected), "\(error?.description ?? "")")
    }

    @Test(
        arguments: [
            (2048, 10240, "GPT entry 2", "inside entry 1"),
            (2048, 2047, "GPT entry 1", "before its first block"),
            (33, 10239, "GPT entry 1", "outside the usable blocks"),
            (0, 10239, "GPT entry 1", "outside the usable blocks"),
            (2048, 131_039, "GPT entry 1", "outside the usable blocks"),
            (2048, .max, "GPT entry 1", "outside the usable blocks"),
            (30000, 30000, "GPT entry 1", "inside entry 3"),
            (34, 131_038, "GPT entry 2", "inside entry 1"),
        ] as [(UInt64, UInt64, String, String)])
    func aPartitionThatOverlapsOrLiesOutsideIsRefused(
        first: UInt64, last: UInt64, place: String, expected: String
    ) throws {
        let error = try #require(
            try error { bytes in
                bytes.put(first, at: 1024 + 32)
                bytes.put(last, at: 1024 + 40)
            })
        #expect(error.place == place)
        #expect(error.problem.contains(expected), "\(error)")
    }

    @Test(arguments: [510, 511])
    func anMBRWithoutItsSignatureIsRefused(offset: Int) throws {
        #expect(try error { $0[offset] = 0 }?.place == "protective MBR")
    }

    @Test func anMBRWithoutAProtectivePartitionIsRefused() throws {
        #expect(try error { $0[446 + 4] = 0x83 }?.problem == "has no partition of type 0xEE")
    }

    @Test(arguments: [0, 1, 511, 1023, 1024, 34 * 512 - 1])
    func aRegionThatIsTooShortIsRefused(count: Int) throws {
        #expect(try error(sealed: false) { $0 = Array($0[..<count]) }?.place == "primary-GPT image")
    }

    @Test func aRegionThatIsTooLongIsRefused() throws {
        let error = try error(sealed: false) { $0 += [UInt8](repeating: 0, count: GPT.imageBytesMax) }
        #expect(error?.place == "primary-GPT image")
    }

    @Test(arguments: [0, 1, -1, 511, 1024, Int.max])
    func anotherBlockSizeIsRefused(blockBytes: Int) throws {
        let primary = try SgdiskDisk.primary()
        #expect(throws: FormatError.self) {
            try GPT.parse(primary: primary, blockBytes: blockBytes, diskSizeBytes: SgdiskDisk.sizeBytes)
        }
        #expect(throws: FormatError(.gpt, place: "GPT header", problem: "has no signature 'EFI PART' at block 1")) {
            try GPT.parse(primary: primary, blockBytes: 4096, diskSizeBytes: SgdiskDisk.sizeBytes)
        }
    }

    @Test(arguments: [0, 512, 33 * 512, SgdiskDisk.sizeBytes - 512] as [UInt64])
    func aDiskWithoutRoomForTheBackupIsRefused(diskSizeBytes: UInt64) throws {
        let primary = try SgdiskDisk.primary()
        #expect(throws: FormatError.self) {
            try GPT.parse(primary: primary, blockBytes: 512, diskSizeBytes: diskSizeBytes)
        }
    }
}
