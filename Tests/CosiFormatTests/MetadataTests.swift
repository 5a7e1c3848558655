import CosiFormat
import Foundation
import Testing

@Suite struct MetadataTests {
    @Test func everyFieldIsRead() throws {
        let (metadata, warnings) = try MetadataSample().parse()
        #expect(warnings.isEmpty)
        #expect(metadata.version.description == "1.2")
        #expect(metadata.osArch == .x86_64)
        #expect(metadata.osRelease == "ID=azurelinux\nVERSION_ID=\"3.0\"\n")
        #expect(metadata.id == "0a6cdd47-1a8b-4f3d-9c83-0d6b7e1c5a11")
        #expect(metadata.maxWindowLog == 27)
        #expect(metadata.osPackages?.map(\.name) == ["bash", "tzdata"])
        #expect(metadata.osPackages?.first?.release == "1.azl3")
        #expect(metadata.bootloader.type == "systemd-boot")
        #expect(metadata.bootloader.entries.map(\.cmdline) == ["ro"])

        let esp = try #require(metadata.images.first)
        #expect(esp.image.path == "images/disk_1.raw.zst")
        #expect(esp.image.compressedSizeBytes == 1000)
        #expect(esp.image.uncompressedSizeBytes == 8192 * 512)
        #expect(esp.image.sha384 == [UInt8](repeating: 0x11, count: 48))
        #expect((esp.mountPoint, esp.fsType, esp.fsUUID) == ("/boot/efi", "vfat", "C3D4-250D"))
        #expect(esp.partitionType == .efiSystemPartition)
        #expect(esp.verity == nil)
        let root = try #require(metadata.images.last)
        #expect(root.image.sha384 == [UInt8](repeating: 0xAA, count: 48))
        #expect(root.verity?.image.path == "images/deep/er/disk_2.raw.zst")
        #expect(root.verity?.rootHash == "646c82fa")

        #expect(metadata.disk.sizeBytes == SgdiskDisk.sizeBytes)
        #expect(metadata.disk.lbaSize == 512)
        #expect(
            metadata.disk.gptRegions.map(\.kind) == [
                .primaryGPT, .partition(number: 1), .partition(number: 2), .partition(number: 3),
            ])
    }

    /// What producers write and the format allows: read without a word.
    @Test(
        arguments: [
            ("version", "\"1.10\""), ("version", "\"1.3\""),
            ("osArch", "\"AMD64\""), ("osArch", "\"x64\""), ("osArch", "\"X86_64\""),
            ("id", nil), ("id", "null"), ("id", "\"0A6CDD47-1A8B-4F3D-9C83-0D6B7E1C5A11\""),
            ("images[0].verity", nil), ("images[1].verity", nil), ("images[1].verity", "null"),
            ("images", "[]"), ("images[0].mountPoint", "\"\""), ("images[0].fsUuid", "\"\""),
            ("osPackages", "[]"), ("osPackages[0].arch", "\"i686\""), ("osPackages[0].arch", "\"(none)\""),
            ("bootloader", "{\"type\": \"grub\"}"), ("bootloader", "{\"type\": \"grub\", \"systemdBoot\": null}"),
            // Image Customizer's word for no bootloader.
            ("bootloader", "{\"type\": \"\"}"), ("bootloader", "{\"type\": \"\", \"systemdBoot\": null}"),
            ("images[1].verity.hashOffset", "null"), ("images[1].verity.hashOffset", "0"),
            ("images[1].verity.hashOffset", "3584"),
            ("disk.gptRegions[0].number", "null"), ("disk.gptRegions[0].startLba", "0"),
            ("disk.gptRegions[2].image.uncompressedSize", "4096.0"),
            ("compression.maxWindowLog", "10"), ("compression.maxWindowLog", "31"),
            ("hostConfigurationTemplate", "{\"path\": [[{}]]}"), ("disk.gptRegions[1].image.newField", "[1, null]"),
        ] as [(String, String?)])
    func whatTheFormatAllowsIsReadWithoutAWarning(path: String, value: String?) throws {
        let (_, warnings) = try MetadataSample.with([(path, value)]).parse()
        #expect(warnings.isEmpty)
    }

    @Test(arguments: [("arm64", "arm64"), ("AARCH64", "arm64"), ("amd64", "x86_64"), ("x86_64", "x86_64")])
    func architecturesHaveSeveralNames(written: String, read: String) throws {
        let (metadata, _) = try MetadataSample.with([("osArch", "\"\(written)\"")]).parse()
        #expect(metadata.osArch.rawValue == read)
    }

    @Test(
        arguments: [
            ("osPackages", nil, "metadata.json: osPackages"),
            ("osPackages", "null", "metadata.json: osPackages"),
            ("osPackages[1].arch", "\"riscv64\"", "metadata.json: osPackages[1].arch"),
            ("osArch", "\"arm64\"", "metadata.json: osPackages[0].arch"),
            ("bootloader.type", "\"lilo\"", "metadata.json: bootloader.type"),
            ("bootloader.type", "\"grub\"", "metadata.json: bootloader.systemdBoot"),
            ("images[1].partType", "\"C12A7328-F81F-11D2-BA4B-00A0C93EC93B\"", "metadata.json: images"),
            ("disk.gptRegions[0].image.path", "\"./images/gpt.zst\"", "metadata.json: disk.gptRegions[0].image.path"),
            (
                "disk.gptRegions[4]", "{\"type\": \"unallocated\", \"startLba\": 40960}",
                "metadata.json: disk.gptRegions[4].type"
            ),
            (
                "disk.gptRegions[4]", "{\"type\": \"backup-gpt\", \"image\": {\"path\": \"\"}, \"number\": -1}",
                "metadata.json: disk.gptRegions[4].type"
            ),
        ] as [(String, String?, String)])
    func whatIsHarmlessIsAcceptedWithAWarning(path: String, value: String?, place: String) throws {
        let (metadata, warnings) = try MetadataSample.with([(path, value)]).parse()
        #expect(warnings.map(\.place) == [place])
        #expect(metadata.disk.gptRegions.count == 4)
    }

    /// The hash tree behind the filesystem, in its own image, as Image Customizer writes it since 1.4.0.
    @Test func inlineVerityIsRead() throws {
        let own = "\(try Self.json(MetadataSample.root))"
        let verity = "{\"image\": \(own), \"roothash\": \"ab\", \"hashOffset\": 8388608}"
        let (metadata, warnings) = try MetadataSample.with([("images[1].verity", verity)]).parse()
        #expect(warnings.isEmpty)
        let read = try #require(metadata.images[1].verity)
        #expect(read.isInline)
        #expect(read.hashOffset == 8_388_608)
        #expect((read.image.path, read.rootHash) == (MetadataSample.root.path, "ab"))
        #expect(try MetadataSample().parse().0.images[1].verity?.isInline == false)
    }

    @Test func inlineVerityWithoutItsPlaceIsAWarning() throws {
        let verity = "{\"image\": \(try Self.json(MetadataSample.root)), \"roothash\": \"ab\"}"
        let (metadata, warnings) = try MetadataSample.with([("images[1].verity", verity)]).parse()
        #expect(warnings.map(\.place) == ["metadata.json: images[1].verity.hashOffset"])
        #expect(metadata.images[1].verity?.isInline == true)
        #expect(metadata.images[1].verity?.hashOffset == nil)
    }

    static func json(_ image: MetadataSample.Image) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: image.json), as: UTF8.self)
    }

    /// As in one of the published samples.
    @Test func aHashImageWithoutARegionIsAWarning() throws {
        let (metadata, warnings) = try MetadataSample.with([("disk.gptRegions[2]", nil)]).parse()
        #expect(warnings.map(\.place) == ["metadata.json: images[1].verity.image.path"])
        #expect(metadata.images[1].verity?.image.path == MetadataSample.hash.path)
    }

    @Test func filesystemsWithoutAMountPointMayBeSeveral() throws {
        for none in ["", "none", "swap"] {
            let sample = try MetadataSample.with([
                ("images[0].mountPoint", "\"\(none)\""), ("images[1].mountPoint", "\"\(none)\""),
            ])
            #expect(try sample.parse().1.isEmpty)
        }
    }

    /// An unmounted second ESP, such as the B side of an A/B pair, is nothing to warn of.
    @Test func onlyMountedESPsCount() throws {
        let sample = try MetadataSample.with([
            ("images[1].partType", "\"c12a7328-f81f-11d2-ba4b-00a0c93ec93b\""), ("images[1].mountPoint", "\"\""),
        ])
        #expect(try sample.parse().1.isEmpty)
    }
}

@Suite struct MetadataRefusalTests {
    static let required = """
        version osArch osRelease images bootloader disk compression images[1].image images[1].mountPoint
        images[1].fsType images[1].fsUuid images[1].partType images[1].verity.image images[1].verity.roothash
        osPackages[1].name osPackages[1].version osPackages[1].release osPackages[1].arch bootloader.type
        bootloader.systemdBoot bootloader.systemdBoot.entries bootloader.systemdBoot.entries[0].type
        bootloader.systemdBoot.entries[0].path bootloader.systemdBoot.entries[0].cmdline
        bootloader.systemdBoot.entries[0].kernel disk.size disk.type disk.lbaSize disk.gptRegions
        disk.gptRegions[3].image disk.gptRegions[3].type disk.gptRegions[3].number disk.gptRegions[0].image.path
        disk.gptRegions[0].image.compressedSize disk.gptRegions[0].image.uncompressedSize
        disk.gptRegions[0].image.sha384 disk.gptRegions[3].image.path disk.gptRegions[3].image.compressedSize
        disk.gptRegions[3].image.uncompressedSize disk.gptRegions[3].image.sha384 images[0].image.path
        images[0].image.compressedSize images[0].image.uncompressedSize images[0].image.sha384
        images[1].verity.image.path images[1].verity.image.compressedSize images[1].verity.image.uncompressedSize
        images[1].verity.image.sha384 compression.maxWindowLog
        """.split { " \n".contains($0) }.map(String.init)

    @Test(arguments: required)
    func aMissingFieldIsRefusedByName(path: String) throws {
        let error = try formatError { try MetadataSample.with([(path, nil)]).parse() }
        #expect(error?.place == "metadata.json: " + path)
        #expect(error?.problem.hasPrefix("is missing") == true)
    }

    @Test(arguments: required)
    func aNullFieldIsRefusedByName(path: String) throws {
        let error = try formatError { try MetadataSample.with([(path, "null")]).parse() }
        #expect(error?.place == "metadata.json: " + path)
    }

    @Test(arguments: required)
    func aFieldOfTheWrongTypeIsRefusedByName(path: String) throws {
        let error = try formatError { try MetadataSample.with([(path, "true")]).parse() }
        #expect(error?.place == "metadata.json: " + path)
        #expect(error?.problem.hasPrefix("is not a") == true, "\(error?.description ?? "")")
    }

    static let zeros = String(repeating: "0", count: 95)

    @Test(
        arguments: [
            ("version", "\"1.1\"", "minor version 2"), ("version", "\"1.0\"", "minor version 2"),
            ("version", "\"2.0\"", "major version 1"), ("version", "\"0.9\"", "major version 1"),
            ("version", "\"1\"", "MAJOR.MINOR"), ("version", "\"1.2.0\"", "MAJOR.MINOR"),
            ("version", "\"\"", "MAJOR.MINOR"), ("version", "\"1.2 \"", "MAJOR.MINOR"),
            ("version", "\"1.-2\"", "MAJOR.MINOR"), ("version", "\"+1.2\"", "MAJOR.MINOR"),
            ("version", "\"1.99999999999\"", "MAJOR.MINOR"), ("version", "\"1.99999999999999999999999\"", "MAJOR.MINOR"),
            ("osArch", "\"riscv64\"", "riscv64"), ("osArch", "\"\"", "x86_64"),
            ("id", "\"abc\"", "must be a UUID"),
            ("images[0].partType", "\"linux\"", "must be a UUID"),
            ("images[1].mountPoint", "\"/boot/efi\"", "images[0]"),
            ("images[1].mountPoint", "\"//boot/efi/\"", "images[0]"),
            ("disk.type", "\"mbr\"", "must be 'gpt'"),
            ("disk.lbaSize", "1024", "must be 512 or 4096"), ("disk.lbaSize", "0", "must be 512 or 4096"),
            ("disk.lbaSize", "18446744073709551615", "must be 512 or 4096"),
            ("disk.size", "67108865", "not a multiple of disk.lbaSize 512"), ("disk.size", "0", "must be 1 to"),
            ("disk.size", "9223372036854775808", "must be 1 to"), ("disk.size", "-512", "whole number"),
            ("disk.size", "1e30", "whole number"), ("disk.size", "0.5", "whole number"),
            ("disk.gptRegions", "[]", "'primary-gpt'"), ("disk.gptRegions[0]", nil, "'primary-gpt'"),
            ("disk.gptRegions[0].type", "\"unknown\"", "'primary-gpt'"),
            ("disk.gptRegions[1].type", "\"primary-gpt\"", "second 'primary-gpt'"),
            ("disk.gptRegions[1].number", "0", "must be 1 to 1024"),
            ("disk.gptRegions[1].number", "1025", "must be 1 to 1024"),
            ("disk.gptRegions[1].number", "18446744073709551615", "must be 1 to 1024"),
            ("disk.gptRegions[1].number", "-1", "whole number"), ("disk.gptRegions[1].number", "1.5", "whole number"),
            ("disk.gptRegions[3].number", "2", "as disk.gptRegions[2].number is"),
            ("disk.gptRegions[1].image.path", "\"images/disk_gpt.raw.zst\"", "as disk.gptRegions[0].image.path is"),
            ("disk.gptRegions[1].image.path", "\"disk_1.raw.zst\"", "under 'images/'"),
            ("disk.gptRegions[1].image.path", "\"/images/a\"", "under 'images/'"),
            ("disk.gptRegions[1].image.path", "\"images\"", "under 'images/'"),
            ("disk.gptRegions[1].image.path", "\"imagesx/a\"", "under 'images/'"),
            ("disk.gptRegions[1].image.path", "\"\"", "under 'images/'"),
            ("disk.gptRegions[1].image.path", "\"images/\"", "must not have"),
            ("disk.gptRegions[1].image.path", "\"images/../etc/passwd\"", "must not have"),
            ("disk.gptRegions[1].image.path", "\"images/a/..\"", "must not have"),
            ("disk.gptRegions[1].image.path", "\"images//a\"", "must not have"),
            ("disk.gptRegions[1].image.path", "\"images/./a\"", "must not have"),
            ("disk.gptRegions[1].image.path", "\"images/a\\u0000b\"", "cannot be shown"),
            ("disk.gptRegions[1].image.path", "\"images/a\\u001b[2J\"", "\\u{1b}[2J"),
            ("disk.gptRegions[1].image.compressedSize", "0", "must be 1 to"),
            ("disk.gptRegions[1].image.compressedSize", "18446744073709551615", "must be 1 to"),
            ("disk.gptRegions[1].image.compressedSize", "9223372036854775807", "overflow"),
            ("disk.gptRegions[1].image.uncompressedSize", "18446744073709551616", "whole number"),
            ("disk.gptRegions[1].image.uncompressedSize", "18446744073709551615", "at most 2^63"),
            ("disk.gptRegions[1].image.uncompressedSize", "67108865", "more than disk.size"),
            ("disk.gptRegions[1].image.sha384", "\"\(zeros)\"", "is 95 hex digits, must be 96"),
            ("disk.gptRegions[1].image.sha384", "\"\(zeros)00\"", "is 97 hex digits, must be 96"),
            ("disk.gptRegions[1].image.sha384", "\"\"", "is 0 hex digits"),
            ("disk.gptRegions[1].image.sha384", "\"\(zeros)g\"", "not a hex digit"),
            ("disk.gptRegions[0].image.compressedSize", "8388609", "more than a GPT takes"),
            ("disk.gptRegions[0].image.uncompressedSize", "8388609", "more than a GPT takes"),
            ("images[1].verity.hashOffset", "4096", "outside the 4096 bytes"),
            ("images[1].verity.hashOffset", "18446744073709551615", "outside the 4096 bytes"),
            ("images[1].verity.hashOffset", "100", "must be a multiple of 512"),
            ("images[1].verity.hashOffset", "-1", "whole number"), ("images[1].verity.hashOffset", "0.5", "whole number"),
            ("images[1].verity.hashOffset", "\"4096\"", "is not a number"),
            ("compression.maxWindowLog", "9", "must be 10 to 31"), ("compression.maxWindowLog", "32", "must be 10 to 31"),
            ("compression.maxWindowLog", "18446744073709551615", "must be 10 to 31"),
            ("compression.maxWindowLog", "-1", "whole number"),
        ] as [(String, String?, String)])
    func aMalformedValueIsRefusedByName(path: String, value: String?, expected: String) throws {
        let error = try #require(try formatError { try MetadataSample.with([(path, value)]).parse() })
        let isAboutTheFirst = path.hasPrefix("disk.gptRegions[0]") && expected == "'primary-gpt'"
        #expect(error.place == "metadata.json: " + (isAboutTheFirst ? "disk.gptRegions" : path))
        #expect(error.problem.contains(expected), "\(error)")
    }

    /// A filesystem, or its verity hash, and its region must say the same.
    @Test(arguments: ["images[1].image", "images[1].verity.image"])
    func aFilesystemThatDisagreesWithItsRegionIsRefused(image: String) throws {
        for (field, value, expected) in [
            ("path", "\"images/elsewhere.zst\"", "no region"),
            ("path", "\"images/disk_gpt.raw.zst\"", "primary GPT"),
            ("compressedSize", "1001", "1001, but 1000 in disk.gptRegions"),
            ("uncompressedSize", "4095", "4095, but"),
            ("sha384", "\"\(Self.zeros)1\"", "differs"),
        ] {
            let sample = try MetadataSample.with([("\(image).\(field)", value)])
            // A hash image without a region is for the layout to judge.
            if image.contains("verity"), expected == "no region" { continue }
            let error = try #require(try formatError { try sample.parse() })
            #expect(error.place == "metadata.json: \(image).\(field)")
            #expect(error.problem.contains(expected), "\(error)")
        }
    }

    /// The same image in upper-case digits is the same image.
    @Test func hashesAreComparedAsBytes() throws {
        let lower = "\"" + String(repeating: "a", count: 96) + "\""
        #expect(try MetadataSample.with([("images[1].image.sha384", lower)]).parse().1.isEmpty)
    }

    @Test func oneImageForTwoFilesystemsIsRefused() throws {
        func json(_ image: MetadataSample.Image) throws -> String {
            String(decoding: try JSONSerialization.data(withJSONObject: image.json), as: UTF8.self)
        }
        let esp = try json(MetadataSample.esp)
        let hash = try json(MetadataSample.hash)
        let changes = [
            ("images[1].image", esp, "images[1].image.path"),
            ("images[1].verity.image", esp, "images[1].verity.image.path"),
            ("images[0].verity", "{\"roothash\": \"\", \"image\": \(hash)}", "images[1].verity.image.path"),
        ]
        for (path, value, place) in changes {
            let error = try formatError { try MetadataSample.with([(path, value)]).parse() }
            #expect(error?.place == "metadata.json: " + place)
        }
    }

    /// JSON strings are compared as the bytes they are, as tar's names are.
    @Test func canonicallyEquivalentPathsAreDifferent() throws {
        let error = try formatError {
            try MetadataSample.with([
                ("disk.gptRegions[1].image.path", "\"images/\\u00e9\""),
                ("images[0].image.path", "\"images/e\\u0301\""),
            ]).parse()
        }
        #expect(error?.place == "metadata.json: images[0].image.path")
    }

    @Test func sizesWhoseSumOverflowsAreRefused() throws {
        let half = "\(1 << 62)"
        let error = try formatError {
            try MetadataSample.with([
                ("disk.gptRegions[1].image.compressedSize", half), ("disk.gptRegions[2].image.compressedSize", half),
            ]).parse()
        }
        #expect(error?.place == "metadata.json: disk.gptRegions[2].image.compressedSize")
    }

    @Test(arguments: [
        "", " ", "{", "[]", "\"1.2\"", "null", "{\"version\": \"1.2\"", "{\"version\": \"1.2\"}}", "{'version': 1}",
        "nul", "1e999999999",
    ])
    func whatIsNoJSONObjectIsRefused(text: String) throws {
        let error = try #require(try formatError { try CosiMetadata.parse(Array(text.utf8)) })
        #expect(error.place == "metadata.json")
    }

    @Test func otherEncodingsAreRefused() throws {
        let text = String(decoding: try MetadataSample().bytes(), as: UTF8.self)
        for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian, .utf32] {
            let bytes = [UInt8](try #require(text.data(using: encoding)))
            #expect(
                try formatError { try CosiMetadata.parse(bytes) }
                    == FormatError(.metadata, place: "metadata.json", problem: "is not UTF-8 text"))
        }
        let invalid = try MetadataSample().bytes().map { $0 == UInt8(ascii: "=") ? 0xFF : $0 }
        #expect(try formatError { try CosiMetadata.parse(invalid) }?.problem == "is not UTF-8 text")
    }

    @Test func jsonOver16MiBIsRefusedAndBelowRead() throws {
        let json = try MetadataSample().bytes()
        let limit = CosiMetadata.inputBytesMax
        let padded = json + [UInt8](repeating: UInt8(ascii: " "), count: limit - json.count)
        #expect(try formatError { try CosiMetadata.parse(padded) } == nil)
        #expect(
            try formatError { try CosiMetadata.parse(padded + [32]) }
                == FormatError(.metadata, place: "metadata.json", problem: "is 16777217 bytes, more than 16777216"))
    }

    @Test func deepNestingIsRefused() throws {
        func nested(_ depth: Int) throws -> MetadataSample {
            let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            return try MetadataSample.with([("unknown", text)])
        }
        #expect(try formatError { try nested(63).parse() } == nil)
        #expect(
            try formatError { try nested(64).parse() }
                == FormatError(.metadata, place: "metadata.json", problem: "nests deeper than 64 levels"))
        // Brackets in strings do not nest, and a million of them do not reach a recursive parser.
        let inString = "\"\\\"" + String(repeating: "[", count: 1000) + "\""
        #expect(try formatError { try MetadataSample.with([("unknown", inString)]).parse() } == nil)
        let open = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(try formatError { try CosiMetadata.parse(open) }?.problem.hasPrefix("nests deeper") == true)
    }

    @Test func aLongNameIsCutInTheMessage() throws {
        let error = try formatError {
            try MetadataSample.with([("osArch", "\"" + String(repeating: "x", count: 100_000) + "\"")]).parse()
        }
        #expect(try #require(error).description.utf8.count < 500)
    }
}
