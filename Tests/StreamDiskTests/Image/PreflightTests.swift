import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// What is read of an image before its data, through the command line: what the field writes is accepted with the same
/// words from wherever it comes, and what is not the image meant is named.
@Suite(.timeLimit(.minutes(10))) struct PreflightTests {
    // MARK: The end of the tar

    enum Way: CaseIterable, Sendable { case path, ranges, onePass, onePassWithoutLength }

    /// What stands where the end marker should, and what comes of it.
    struct Ending: Sendable, CustomTestStringConvertible {
        let name: String
        /// Python over `image`, the bytes up to the last entry's end with its padding.
        let file: String
        let warns: Bool
        /// Nil when it is accepted.
        var refusal: String?
        var testDescription: String { name }
    }

    static let endings = [
        Ending(name: "two zero blocks", file: "image + bytes(1024)", warns: false),
        Ending(name: "one zero block", file: "image + bytes(512)", warns: false),
        Ending(name: "nothing", file: "image", warns: true),
        Ending(name: "seven bytes", file: "image + b'garbage'", warns: true),
        Ending(name: "zeros, one byte short of a block", file: "image + bytes(511)", warns: true),
        Ending(name: "no padding", file: "image[:-(-size % 512)]", warns: false, refusal: "truncated"),
        Ending(name: "not all of the last image", file: "image[:-700]", warns: false, refusal: "trunc|cut off|past the end"),
        Ending(name: "not all of the last header", file: "image[:data - 100]", warns: false, refusal: "trunc"),
        Ending(name: "a header without its entry", file: "image + pax", warns: false, refusal: "trunc"),
    ]

    @Test(arguments: endings) func aTarEndsTheSameWayFromEverySource(ending: Ending) throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "image.cosi").path
            try run(
                "python3",
                [
                    "-c",
                    """
                    import sys, tarfile
                    bytes_ = open(sys.argv[1], "rb").read()
                    with tarfile.open(sys.argv[1]) as tar: last = tar.getmembers()[-1]
                    data, size = last.offset_data, last.size
                    image = bytes_[:data + size + -size % 512]
                    pax = tarfile.TarInfo("x"); pax.type = b"x"; pax.size = 30
                    pax = pax.tobuf()
                    assert size % 512
                    open(sys.argv[2], "wb").write(\(ending.file))
                    """, sample.path, path,
                ])
            let bytes = Array(try Data(contentsOf: URL(filePath: path)))
            #expect(bytes.count > 1 << 20, "the first contact must not bring all of it")
            for way in Way.allCases {
                let server =
                    way == .path
                    ? nil
                    : try FaultServer(bytes) { _ in
                        switch way {
                        case .path, .ranges: FaultServer.Answer()
                        case .onePass: FaultServer.Answer(ignoresRange: true)
                        case .onePassWithoutLength: FaultServer.Answer(ignoresRange: true, isChunked: true)
                        }
                    }
                let disk = folder.appending(path: "disk.raw").path
                try run("truncate", ["-s", "0", disk])
                try run("truncate", ["-s", "\(sample.diskBytes)", disk])
                let ended = try Program.run(
                    [server?.url() ?? path, "--disk", disk, "--yes", "--retry-timeout", "2"], events: true)
                let warnings = ended.events.filter { $0["event"] as? String == "warning" }
                    .compactMap { $0["message"] as? String }
                if let refusal = ending.refusal {
                    #expect(ended.code == 65, "\(way): \(ended.errors)")
                    #expect(ended.errors.contains(try Regex(refusal)), "\(way): \(ended.errors)")
                    #expect(try tablesLeft(on: disk) == [])
                } else {
                    #expect(ended.code == 0, "\(way): \(ended.errors)")
                    #expect(
                        warnings.filter { $0.contains("ends without the two zero blocks that end a tar") }.count
                            == (ending.warns ? 1 : 0), "\(way): \(warnings)")
                    let image = try sample.region("root")
                    try run(
                        "cmp",
                        [
                            "--bytes=\(image.uncompressedSize)", "--ignore-initial=\(image.offset)", sample.rawPath, disk,
                        ])
                }
            }
        }
    }

    // MARK: What producers write

    /// Image Customizer's images: regions in the order of their numbers, a skippable frame first, no boot loader named.
    @Test(arguments: ["customizer", "mkcosi"]) func whatProducersWriteIsReadWithoutAWarning(style: String) throws {
        let options = SampleImage.small + " --level 3 --style \(style)"
        let image = try SampleImage.make(options)
        #expect(try inspect(image.path)["warnings"] as? [String] == [])
        try withTemporaryFolder { folder in
            let unnamed = try image.repacked(in: folder, metadata: ".bootloader.type = \"\"")
            #expect(try inspect(unnamed)["warnings"] as? [String] == [])
        }
    }

    @Test func inlineVerityIsStreamedAndShown() throws {
        let sample = try SampleImage.make()
        let root = try sample.region("root")
        try withTemporaryFolder { folder in
            let filter =
                "(.images[] | select(.mountPoint == \"/\")) |= (.verity = {image, roothash: \"abcd\", hashOffset: 1048576})"
            let image = try sample.repacked(in: folder, metadata: filter)
            let disk = folder.appending(path: "disk.raw").path
            try run("truncate", ["-s", "\(sample.diskBytes)", disk])
            let ended = try Program.run([image, "--disk", disk, "--yes", "-q"])
            #expect(ended.code == 0, "\(ended.errors)")
            try run("cmp", ["--bytes=\(root.uncompressedSize)", "--ignore-initial=\(root.offset)", sample.rawPath, disk])

            let inspected = try inspect(image)
            #expect(inspected["warnings"] as? [String] == [])
            let verity = try verities(inspected)
            #expect(verity.keys.sorted() == [root.number])
            let shown = try #require(verity[root.number])
            #expect(shown["inline"] as? Bool == true)
            #expect(shown["rootHash"] as? String == "abcd")
            #expect(shown["hashOffsetBytes"] as? Int == 1_048_576)
            #expect(shown["imagePath"] as? String == root.path)
            #expect(shown["partitionNumber"] as? Int == root.number)
            let text = try Program.run(["inspect", image])
            #expect(text.output.contains("ext4, verity inline"), "\(text.output)")
        }
    }

    @Test func verityInAPartitionOfItsOwnIsShown() throws {
        let image = try SampleImage.make(SampleImage.small + " --level 3 --hash-bytes 100000 --verity")
        let (root, hash) = (try image.region("root"), try image.region("hash"))
        let inspected = try inspect(image.path)
        #expect(inspected["warnings"] as? [String] == [])
        let shown = try #require(try verities(inspected)[root.number])
        #expect(shown["inline"] as? Bool == false)
        #expect(shown["hashOffsetBytes"] is NSNull)
        #expect(shown["imagePath"] as? String == hash.path)
        #expect(shown["partitionNumber"] as? Int == hash.number)
        let text = try Program.run(["inspect", image.path])
        #expect(text.output.contains("ext4, verity in \(hash.number)"), "\(text.output)")
        #expect(text.output.contains("verity of \(root.number)"), "\(text.output)")
    }

    private func inspect(_ image: String) throws -> [String: Any] {
        let ended = try Program.run(["inspect", image, "--json"])
        #expect(ended.code == 0, "\(ended.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any])
    }

    /// By partition number.
    private func verities(_ inspected: [String: Any]) throws -> [Int: [String: Any]] {
        let partitions = try #require(inspected["partitions"] as? [[String: Any]])
        var found: [Int: [String: Any]] = [:]
        for partition in partitions {
            let number = try #require(partition["number"] as? Int)
            if let verity = partition["verity"] as? [String: Any] { found[number] = verity }
        }
        return found
    }

    // MARK: What is not the image meant

    /// Over HTTP as from a file, by its name and with what to do.
    @Test func aWebPageIsNamedWithItsURL() throws {
        let page = Array("<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n".utf8)
        for ignoresRange in [false, true] {
            let server = try FaultServer(page) { _ in FaultServer.Answer(ignoresRange: ignoresRange) }
            let ended = try Program.run(["inspect", server.url("/image.cosi?token=secret")])
            expectFailure(
                ended, 65, says: ["invalid image: \(server.url())", "not a COSI image: it is a web page (HTML)", "check the URL"])
            #expect(!ended.errors.contains("secret"))
        }
        let empty = try FaultServer([]) { _ in FaultServer.Answer() }
        expectFailure(try Program.run(["inspect", empty.url()]), 65, says: [empty.url(), "it is empty"])
    }

    /// A tar that begins with an extended header, and has by chance the mark of an ext file system where that would have it.
    @Test func aTarIsNotTakenForAnotherKind() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "image.cosi").path
            try run(
                "python3",
                [
                    "-c",
                    """
                    import sys, tarfile
                    def block(name, kind, data):
                        entry = tarfile.TarInfo(name); entry.type = kind; entry.size = len(data)
                        return entry.tobuf(tarfile.GNU_FORMAT, "latin-1") + data + bytes(-len(data) % 512)
                    first = block("global", b"g", b"13 comment=x\\n") + block("n" * 56 + "\\x53\\xef", b"0", b"")
                    assert first[1080:1082] == b"\\x53\\xef"
                    open(sys.argv[2], "wb").write(first + open(sys.argv[1], "rb").read())
                    """, sample.path, path,
                ])
            #expect(try inspect(path)["hash"] as? String == "sha384:" + sample.manifest.metadataSha384)
        }
    }

    @Test func aHashOfTheWholeFileIsToldFromAnotherImages() throws {
        let sample = try SampleImage.make()
        let whole = "sha384:" + (try run("sha384sum", [sample.path]).prefix(96))
        let right = sample.manifest.metadataSha384
        try withTemporaryFolder { folder in
            let disk = folder.appending(path: "disk.raw").path
            try run("truncate", ["-s", "\(sample.diskBytes)", disk])
            func refused(_ image: String, _ hash: String, _ says: [String]) throws {
                let ended = try Program.run([image, "--disk", disk, "--yes", "-q", "--hash", hash])
                expectFailure(
                    ended, 65, says: says + [image, right, "--hash takes that of metadata.json", "Nothing was written"])
            }
            try refused(sample.path, whole, ["which is the SHA-384 of the whole file"])
            try refused(sample.path, "SHA384:" + whole.dropFirst(7).uppercased(), ["which is the SHA-384 of the whole file"])
            // Not fetched for a hint; that there is such a mistake is said all the same.
            let server = try FaultServer(sample.bytes) { _ in FaultServer.Answer() }
            try refused(server.url(), whole, ["not the image meant", "not of the whole file"])
            try refused(
                sample.path, "sha384:" + String(repeating: "0", count: 96), ["not the image meant", "not of the whole file"])
        }
    }

    @Test(arguments: [
        ("sha256:" + String(repeating: "a", count: 64), "is of sha256"),
        ("md5:" + String(repeating: "a", count: 32), "is of md5"),
        ("SHA512:" + String(repeating: "a", count: 128), "is of sha512"),
        (String(repeating: "A", count: 96), "write sha384:aaaa"),
        ("sha384:" + String(repeating: "a", count: 95), "has 95 digits"),
        ("sha384:" + String(repeating: "g", count: 96), "not hexadecimal"),
        ("sha384:", "has 0 digits"), ("none", "is none"), ("", "is none"),
    ])
    func aHashThatIsNoneIsAUsageErrorThatSaysWhatToGive(hash: String, says: String) throws {
        let ended = try Program.run(["/none", "--disk", "/none", "--hash", hash])
        #expect(ended.code == 64)
        #expect(ended.errors.contains(says) && ended.errors.contains("sha384:"), "\(ended.errors)")
    }

    @Test func aHashMayBeWrittenInAnyCase() {
        let digits = String(repeating: "0aBf", count: 24)
        #expect(ExpectedHash("SHA384:" + digits.uppercased()) == ExpectedHash("sha384:" + digits.lowercased()))
        #expect(ExpectedHash("Sha384:" + digits) != nil)
        #expect(ExpectedHash.refusal(of: "sha384:" + digits) == nil)
        #expect(ExpectedHash.refusal(of: "ignored") == nil)
    }
}
