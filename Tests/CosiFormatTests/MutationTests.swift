import CosiFormat
import Foundation
import Testing

/// Damaged input of every kind must end in a value or a `FormatError`, never in a trap. A trap kills the test
/// process, and the last seed started is in its output.
@Suite struct MutationTests {
    /// Bit flips, interesting bytes, cuts, doubled and moved pieces.
    private func mutated(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            guard !bytes.isEmpty else { return bytes }
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, at + Int.random(in: 1...64, using: &generator))
            switch Int.random(in: 0..<7, using: &generator) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[at] = [0x00, 0x7F, 0x80, 0xFF, 0x20, 0x30, 0x39, 0x22].randomElement(using: &generator) ?? 0
            case 2: bytes.removeSubrange(at..<end)
            case 3: bytes.insert(contentsOf: Array(bytes[at..<end]), at: at)
            case 4: for index in at..<end { bytes[index] = 0xFF }
            case 5: for index in at..<end { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
            default: bytes.removeSubrange(at...)
            }
        }
        return bytes
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func damagedArchives(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let archives = try withTemporaryDirectory { directory in
            try python(
                """
                import tarfile, io
                for format in range(3):
                    with tarfile.open("x%d.tar" % format, "w", format=format, pax_headers={"comment": "x"}) as t:
                        long = "p" * 60 + "/" + "q" * (150 if format else 60)
                        for name in ["cosi-marker", "images/" + "l" * 80, long]:
                            m = tarfile.TarInfo(name); m.size = 600; t.addfile(m, io.BytesIO(bytes(600)))
                """, in: directory)
            return try (0..<3).map { try directory.appendingPathComponent("x\($0).tar").bytes().prefix(8192) }
        }
        for _ in 0..<1500 {
            var archive = Array(archives[Int.random(in: 0..<3, using: &generator)])
            let header = Int.random(in: 0..<8, using: &generator) * 512
            if Bool.random(using: &generator) {
                // One header field, with the sum put right, so that it is read.
                let field = mutated(Array(archive[header..<header + 512]), &generator).prefix(512)
                archive.replaceSubrange(header..<header + field.count, with: field)
                archive.replaceSubrange(header + 148..<header + 156, with: [UInt8](repeating: 32, count: 8))
                let sum = archive[header..<header + 512].reduce(0) { $0 + Int($1) }
                let octal = String(sum, radix: 8)
                archive.replaceSubrange(header + 148..<header + 148 + octal.utf8.count, with: octal.utf8)
            } else {
                archive = mutated(archive, &generator)
            }
            var scanner = TarScanner()
            let entries = (try? scanner.feed(from: archive)) ?? []
            #expect(entries.count <= archive.count / 512)
            for entry in entries { #expect(entry.dataOffset + entry.sizeBytes <= Int64.max) }
            if let needs = scanner.needs { #expect(needs.count > 0 && needs.count <= TarScanner.extensionBytesMax) }
            _ = try? scanner.end(at: UInt64(archive.count))
        }
    }

    @Test(arguments: 100..<108 as Range<UInt64>)
    func damagedMetadata(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let json = try MetadataSample().bytes()
        var refused = 0
        for _ in 0..<400 {
            do {
                _ = try CosiMetadata.parse(mutated(json, &generator))
            } catch {
                refused += 1
                #expect(error.description.utf8.count < 2000)
            }
        }
        #expect(refused > 200)
    }

    /// Values of the right JSON type in the wrong size.
    @Test(arguments: 200..<204 as Range<UInt64>)
    func metadataWithNumbersOfEverySize(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let text = String(decoding: try MetadataSample().bytes(), as: UTF8.self)
        let numbers = text.matches(of: /:(\d+)/).map(\.range)
        let values = [
            "0", "1", "511", "512", "4096", "1024", "9223372036854775807", "9223372036854775808",
            "18446744073709551615", "18446744073709551616", "-1", "1e19", "1e-5", "0.1", "1e400",
        ]
        let gpt = try GPT.parse(
            primary: SgdiskDisk.primary(), blockBytes: 512, diskSizeBytes: SgdiskDisk.sizeBytes
        ).0
        for _ in 0..<400 {
            var changed = text
            let range = try #require(numbers.randomElement(using: &generator))
            changed.replaceSubrange(range, with: ":" + (values.randomElement(using: &generator) ?? "0"))
            if let metadata = try? CosiMetadata.parse(Array(changed.utf8)).0 {
                _ = try? CosiLayout.check(metadata: metadata, entries: [], gpt: gpt)
            }
        }
    }

    @Test(arguments: 300..<308 as Range<UInt64>)
    func damagedGPTs(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let primary = try SgdiskDisk.primary()
        let interesting: [UInt64] = [0, 1, 2, 33, 34, 128, 131_037, 131_038, 131_072, 1 << 31, 1 << 55, 1 << 63, .max]
        var accepted = 0
        for _ in 0..<60 {
            var bytes = primary
            if Bool.random(using: &generator) {
                bytes = mutated(bytes, &generator)
            } else {
                let at =
                    [24, 32, 40, 48, 72, 80, 84, 512 + 32, 512 + 40, 512 + 128 + 32]
                    .randomElement(using: &generator) ?? 0
                let value = interesting.randomElement(using: &generator) ?? 0
                if at == 80 || at == 84 {
                    bytes.put(UInt32(truncatingIfNeeded: value), at: 512 + at)
                } else {
                    bytes.put(value, at: 512 + at)
                }
            }
            // With the CRCs put right the fields behind them are read.
            if bytes.count >= 1024 { reseal(&bytes) }
            let isSameDisk = Bool.random(using: &generator)
            let diskSize = isSameDisk ? SgdiskDisk.sizeBytes : generator.next()
            for blockBytes in [512, 4096] {
                guard let (gpt, _) = try? GPT.parse(primary: bytes, blockBytes: blockBytes, diskSizeBytes: diskSize) else {
                    continue
                }
                accepted += 1
                for device in [diskSize, .max, 0, diskSize &+ 512] { _ = try? gpt.placement(onDeviceOf: device) }
            }
        }
        #expect(accepted > 0)
    }
}
