import CosiFormat
import Foundation
import Testing

/// A region's number is the GPT entry's. One producer counts partitions instead: such an image is refused with words that
/// name it wherever it can be told, and never written to other partitions than it means.
@Suite struct RegionNumberTests {
    private static let linux = "0fc63daf-8483-4772-8e79-3d69d8477de4"
    private static let esp = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

    /// A partition of Linux's type in this entry, from this MiB on, so many MiB long.
    private struct Entry {
        let number: Int
        let startMiB: UInt64
        var sizeMiB: UInt64 = 1
    }

    /// The image of a region: its number, its size, and its filesystem's type where it has one.
    private struct Part {
        let number: Int
        var sizeBytes: UInt64 = 1 << 20
        var type: String? = linux
    }

    private func check(
        _ entries: [Entry], _ parts: [Part]
    ) throws -> (images: [CosiLayout.Image], warnings: [FormatWarning]) {
        let made = PythonGPT(
            partitions: entries.map { ($0.number, $0.startMiB * 2048, ($0.startMiB + $0.sizeMiB) * 2048 - 1) })
        let (gpt, _) = try made.parse()
        func json(_ part: Part) -> [String: Any] {
            MetadataSample.Image(path: "images/p\(part.number).zst", uncompressed: part.sizeBytes, digit: "1").json
        }
        func text(_ value: [Any]) throws -> String {
            String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self)
        }
        let regions =
            [["image": MetadataSample.gpt.json, "type": "primary-gpt"] as [String: Any]]
            + parts.map { ["image": json($0), "type": "partition", "number": $0.number] }
        let filesystems = parts.compactMap { part -> [String: Any]? in
            guard let type = part.type else { return nil }
            return [
                "image": json(part), "mountPoint": "", "fsType": "ext4", "fsUuid": "", "partType": type,
                "verity": NSNull(),
            ]
        }
        let metadata = try MetadataSample.with([
            ("images", text(filesystems)), ("disk.gptRegions", text(regions)), ("disk.size", "\(made.diskSizeBytes)"),
        ]).parse().0
        var checker = try CosiEntryChecker(metadata: metadata, gpt: gpt)
        let entries = try withTemporaryDirectory { directory in
            let names = parts.map { "\"images/p\($0.number).zst\"" }.joined(separator: ", ")
            try python(
                """
                import tarfile
                with open("x.tar", "wb") as f:
                    for name in ["cosi-marker", "metadata.json", "\(MetadataSample.gpt.path)", \(names)]:
                        m = tarfile.TarInfo(name); m.size = 1000 if name.startswith("images") else 0
                        f.write(m.tobuf() + bytes((m.size + 511) // 512 * 512))
                    f.write(bytes(1024))
                """, in: directory)
            var scanner = TarScanner()
            return try scanner.feed(from: directory.appendingPathComponent("x.tar").bytes())
        }
        var images: [CosiLayout.Image] = []
        for entry in entries { if let image = try checker.check(entry) { images.append(image) } }
        return (images, try checker.finish().1)
    }

    private static let gaps = [1, 2, 3, 4, 6, 7, 9].enumerated().map {
        Entry(number: $1, startMiB: UInt64(1 + $0))
    }

    @Test func numbersThatCountOverGapsAreRefusedByName() throws {
        let error = try #require(try formatError { try check(Self.gaps, (1...7).map { Part(number: $0) }) })
        #expect(error.place == "metadata.json: disk.gptRegions")
        #expect(error.problem.hasPrefix("has numbers that count partitions by place, not by GPT entry"))
        #expect(error.problem.contains("there is no GPT entry 5"))
        #expect(error.problem.contains("1, 2, 3, 4, 6, 7, 9"))
        // Also where the last ones have no image.
        #expect(try formatError { try check(Self.gaps, (1...5).map { Part(number: $0) }) }?.problem == error.problem)
    }

    @Test func numbersOfEntriesOverGapsAreRight() throws {
        let (images, warnings) = try check(Self.gaps, [1, 2, 3, 4, 6, 7, 9].map { Part(number: $0) })
        #expect(images.map(\.partition.firstLBA) == (1...7).map { 2048 * $0 })
        #expect(warnings.isEmpty)
    }

    /// Up to the gap both readings are one.
    @Test func numbersBeforeTheGapAreRight() throws {
        let (images, warnings) = try check(Self.gaps, (1...4).map { Part(number: $0) })
        #expect(images.map(\.partition.firstLBA) == (1...4).map { 2048 * $0 })
        #expect(warnings.map(\.place) == ["GPT entry 6 'part6'", "GPT entry 7 'part7'", "GPT entry 9 'part9'"])
    }

    @Test func aNumberBeyondAllIsPlainlyWithoutAnEntry() throws {
        let error = try formatError { try check(Self.gaps, [Part(number: 1), Part(number: 8)]) }
        #expect(error?.problem == "is for partition 8, which the GPT does not have")
    }

    /// Where both readings suit every image, the format's holds, and a table with gaps is worth a word.
    @Test func whatFitsBothWaysGoesByTheFormat() throws {
        let (images, warnings) = try check(Self.gaps, [Part(number: 6), Part(number: 7)])
        #expect(images.map(\.partition.firstLBA) == [5 * 2048, 6 * 2048])
        #expect(warnings.first?.place == "metadata.json: disk.gptRegions")
        // Not where the types tell: counted, 6 and 7 would be the entries 7 and 9.
        #expect(warnings.first?.message.contains("counted by their place") == true)
    }

    /// Entries 1 and 2 stand on the disk the other way round.
    private static let swapped = [
        Entry(number: 1, startMiB: 10, sizeMiB: 4), Entry(number: 2, startMiB: 1, sizeMiB: 2),
    ]

    @Test func numbersAlongTheDiskAreToldByTheSizes() throws {
        // Counted along the disk the first has 2 MiB and the second 4.
        let parts = [Part(number: 1, sizeBytes: 2 << 20), Part(number: 2, sizeBytes: 4 << 20)]
        let error = try #require(try formatError { try check(Self.swapped, parts) })
        #expect(error.problem.contains("count partitions by place, not by GPT entry"))
        #expect(error.problem.contains("more than the 2097152 bytes of partition 2"))
        // Neither way: what is wrong by the format is said.
        let large = [Part(number: 1, sizeBytes: 3 << 20), Part(number: 2, sizeBytes: 4 << 20)]
        #expect(try formatError { try check(Self.swapped, large) }?.place == "metadata.json: region 'images/p2.zst'")
    }

    /// An order on the disk other than that of the numbers is the main producer's daily bread.
    @Test func entriesOutOfOrderAreRightWithoutAWarning() throws {
        let (images, warnings) = try check(Self.swapped, [Part(number: 1, sizeBytes: 4 << 20), Part(number: 2)])
        #expect(images.map(\.partition.firstLBA) == [10 * 2048, 2048])
        #expect(warnings.isEmpty)
    }

    /// The sample's table has an ESP in entry 1, so its type tells.
    @Test func numbersAlongTheDiskAreToldByTheTypes() throws {
        var primary = try SgdiskDisk.primary()
        // The ESP, entry 1, moves behind the others: along the disk they are 2, 3, 1.
        primary.put(UInt64(50000), at: 1024 + 32)
        primary.put(UInt64(60000), at: 1024 + 40)
        reseal(&primary)
        let gpt = try GPT.parse(primary: primary, blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes).0
        func check(esp: Int, hash: Int, root: Int) throws -> [FormatWarning] {
            let small = ["disk.gptRegions[1].image", "disk.gptRegions[3].image", "images[0].image", "images[1].image"]
            let metadata = try MetadataSample.with(
                small.map { ($0 + ".uncompressedSize", "512") } + [
                    ("disk.gptRegions[1].number", "\(esp)"), ("disk.gptRegions[2].number", "100"),
                    ("disk.gptRegions[3].number", "\(root)"), ("disk.gptRegions[2].number", "\(hash)"),
                ]
            ).parse().0
            var checker = try CosiEntryChecker(metadata: metadata, gpt: gpt)
            return checker.takeWarnings()
        }
        #expect(try check(esp: 1, hash: 2, root: 3).isEmpty)
        let error = try #require(try formatError { try check(esp: 3, hash: 1, root: 2) })
        #expect(error.problem.contains("count partitions by place, not by GPT entry"))
        #expect(error.problem.contains("has partType \(Self.esp)"))
        // A type that no order explains does no harm that is known.
        #expect(
            try check(esp: 2, hash: 1, root: 3).map(\.place) == [
                "metadata.json: filesystem '\(MetadataSample.esp.path)'"
            ])
    }
}
