import Foundation
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// What goes wrong after the first write leaves a disk without a partition table, neither the old nor the new.
    @Suite struct FailureTests {
        struct Damage: Sendable, CustomTestStringConvertible {
            let testDescription: String
            /// Shell, with the root partition's image as `$1` and its decompressed bytes on standard input.
            var script = "true"
            /// jq, over the metadata.
            var filter = "."
            /// A part of what must be said.
            let says: String
        }

        private static let root = "(.. | objects | select(.path? == \"images/sample_3.raw.zst\"))"
        /// A skippable frame, a producer's mark.
        private static let skippable = "printf '\\x50\\x2a\\x4d\\x18\\x04\\x00\\x00\\x00abcd'"

        static let damages = [
            Damage(
                testDescription: "a wrong hash in the metadata", filter: root + " |= . + {sha384: (\"ab\" * 48)}",
                says: "SHA-384"),
            Damage(
                testDescription: "fewer bytes than the metadata says",
                filter: root + " |= . + {uncompressedSize: (.uncompressedSize + 4096)}", says: "decodes to"),
            Damage(
                testDescription: "more bytes than the metadata says",
                filter: root + " |= . + {uncompressedSize: (.uncompressedSize - 4096)}", says: "decodes to more"),
            Damage(
                testDescription: "a frame cut off", script: "truncate -s -1 \"$1\"", says: "cut off"),
            Damage(
                testDescription: "a frame cut off in its middle", script: "truncate -s 1000000 \"$1\"", says: "cut off"),
            Damage(
                testDescription: "a frame without its checksum's right value",
                script: "printf '\\x00\\x01\\x02\\x03' | dd of=\"$1\" oflag=seek_bytes conv=notrunc status=none "
                    + "seek=$(($(stat -c %s \"$1\") - 4))", says: "corrupt"),
            Damage(
                testDescription: "bytes behind the last frame", script: "printf 'more' >>\"$1\"", says: "corrupt"),
            Damage(
                testDescription: "half a frame behind the last one",
                script: "head -c 100 \"$1\" >rest; cat rest >>\"$1\"; rm rest", says: "image"),
            Damage(
                testDescription: "a frame of one byte too many",
                script: "printf x | zstd -q >>\"$1\"", says: "decodes to more"),
            Damage(
                testDescription: "a bomb", script: "head -c 256M /dev/zero | zstd -q -1 --no-content-size >\"$1\"",
                says: "decodes to more"),
            Damage(
                testDescription: "only a skippable frame", script: skippable + " >\"$1\"", says: "decodes to 0 bytes"),
            Damage(
                testDescription: "a window past the stated one",
                script: "zstd -q -3 --long=26 --no-content-size -f -o \"$1\"", says: "window"),
            Damage(
                testDescription: "no zstd", script: "head -c 100000 /dev/urandom >\"$1\"", says: "corrupt"),
        ]

        @Test(arguments: damages) func aCorruptImageLeavesNoTable(damage: Damage) throws {
            let image = try SampleImage.make(SampleImage.small + " --style mkcosi")
            try withTemporaryFolder { folder in
                let changed = try image.repacked(
                    in: folder, changing: damage.script == "true" ? nil : "root", by: damage.script,
                    metadata: damage.filter.replacing("sample_3", with: "sample_2"))
                try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                    try expectNoTable("image.data", path, says: damage.says) { _ = try stream(changed, to: path) }
                }
            }
        }

        /// The same through the writer of pwrite, and where the image comes in one pass.
        @Test func aFlippedByteLeavesNoTableHoweverItComes() throws {
            let image = try SampleImage.make(SampleImage.small + " --style mkcosi")
            var bytes = try image.bytes
            bytes[try image.fileOffset(of: image.region("root")) + 2_000_000] ^= 0x10
            let nginx = try Nginx(.init(doesRanges: false))
            try nginx.serve("image.cosi", bytes)
            var options = StreamOptions()
            options.writeEngine = .pwrite
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                try expectNoTable("image.data", path, says: "image") {
                    _ = try stream(nginx.url("image.cosi"), to: path, options)
                }
            }
        }

        /// Where its length is not known; with one it is refused before.
        @Test func aFileCutOffThatCanOnlyBeReadOnceLeavesNoTable() throws {
            let image = try SampleImage.make()
            let cut = Array(try image.bytes.dropLast(2_000_000))
            let server = try FaultServer(cut) { _ in FaultServer.Answer(ignoresRange: true, isChunked: true) }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let error = try failure { _ = try stream(server.url(), to: path) }
                #expect(["image.data", "source.changed"].contains(error?.cause.kind), "\(String(describing: error))")
                #expect(error?.description.contains("cut off") == true, "\(String(describing: error))")
                #expect(error?.disk == .withoutTable)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func aFileThatIsKnownToBeCutOffIsRefusedBeforeTheFirstByte() throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(doesRanges: false))
            try nginx.serve("image.cosi", try image.bytes.dropLast(2_000_000))
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let before = try sha256(of: path)
                let error = try failure { _ = try stream(nginx.url("image.cosi"), to: path) }
                #expect(error?.cause.kind == "image.truncated", "\(String(describing: error))")
                #expect(error?.description.contains("is truncated") == true, "\(String(describing: error))")
                #expect(error?.disk == .untouched)
                #expect(try sha256(of: path) == before)
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: [512, 4096])
        func aCorruptImageLeavesNoTableOnADisk(blockBytes: Int) throws {
            let image = try SampleImage.make("--size 48M --esp-mib 20 --style mkcosi --lba \(blockBytes)")
            var bytes = try image.bytes
            bytes[try image.fileOffset(of: image.region("root")) + 2_000_000] ^= 1
            try withTemporaryFolder { folder in
                let changed = folder.appending(path: "changed.cosi")
                try Data(bytes).write(to: changed)
                // Larger than the image's disk: the old backup table is not where the image would put it.
                try TestTarget.disk(blockBytes: blockBytes).withOldTable(sizeBytes: image.diskBytes + 8 << 20) { path in
                    try expectNoTable("image.data", path, says: "image") { _ = try stream(changed.path, to: path) }
                    // And run again with a good one, as the message says.
                    _ = try stream(image.path, to: path)
                    #expect(try tablesLeft(on: path).count == 4)
                }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: [WriteEngine.uring, .pwrite])
        func aDiskThatFailsLeavesNoTable(engine: WriteEngine) throws {
            let image = try SampleImage.make()
            try withFailingDisk(sizeBytes: image.diskBytes, failsAfterMiB: 9) { path in
                var options = StreamOptions()
                options.writeEngine = engine
                try expectNoTable("device", path, says: path) { _ = try stream(image.path, to: path, options) }
            }
        }

        private func expectNoTable(
            _ kind: String, _ path: String, says: String, sourceLocation: SourceLocation = #_sourceLocation,
            _ body: () throws -> Void
        ) throws {
            let error = try failure(sourceLocation: sourceLocation) { try body() }
            #expect(error?.cause.kind.hasPrefix(kind) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
            #expect(error?.disk == .withoutTable, sourceLocation: sourceLocation)
            #expect(error?.phase == .write, sourceLocation: sourceLocation)
            #expect(error?.description.contains(says) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
            #expect(try tablesLeft(on: path) == [], sourceLocation: sourceLocation)
        }
    }
}
