import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// What is refused before the first write leaves the old disk byte for byte.
    @Suite struct RefusalTests {
        /// Expects that `body`'s run fails with this cause and leaves the target as it was.
        private func expectUntouched(
            _ kind: String, _ path: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
        ) throws {
            let before = try sha256(of: path)
            let error = try failure(sourceLocation: sourceLocation) { try body() }
            #expect(error?.cause.kind == kind, "\(String(describing: error))", sourceLocation: sourceLocation)
            #expect(error?.disk == .untouched, sourceLocation: sourceLocation)
            #expect(error?.phase == .preflight, sourceLocation: sourceLocation)
            #expect(try sha256(of: path) == before, sourceLocation: sourceLocation)
        }

        @Test func anotherImageThanTheOneAskedFor() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                var digits = Array(image.manifest.metadataSha384)
                digits[95] = digits[95] == "0" ? "1" : "0"
                var options = StreamOptions()
                options.hash = try #require(ExpectedHash("sha384:" + String(digits)))
                try expectUntouched("image.hash", path) { _ = try stream(image.path, to: path, options) }
            }
        }

        struct Fault: Sendable, CustomTestStringConvertible {
            let testDescription: String
            /// Shell, with a copy of the image as `$1`.
            var script = "true"
            /// jq, over the metadata.
            var filter = "."
            /// A part of what must be said.
            let says: String
            let kind: String
        }

        private static let partition = "(.. | objects | select(.path? == \"images/sample_1.raw.zst\"))"

        @Test(arguments: [
            Fault(
                testDescription: "cut off in its last image", script: "truncate -s -100000 \"$1\"", says: "truncated",
                kind: "image.truncated"),
            Fault(
                testDescription: "cut off in its metadata", script: "truncate -s 2000 \"$1\"", says: "truncated",
                kind: "image.truncated"),
            Fault(testDescription: "empty", script: "truncate -s 0 \"$1\"", says: "it is empty", kind: "image.notCosi"),
            Fault(
                testDescription: "no tar at all", script: "head -c 100000 /dev/urandom >\"$1\"", says: "tar",
                kind: "image.tar"),
            Fault(
                testDescription: "another compressedSize than the tar's",
                filter: partition + " |= . + {compressedSize: (.compressedSize + 1)}", says: "compressedSize",
                kind: "image.layout"),
            Fault(
                testDescription: "an image larger than its partition",
                filter: partition + " |= . + {uncompressedSize: (.uncompressedSize + 512)}", says: "uncompressedSize",
                kind: "image.layout"),
            Fault(
                testDescription: "a wrong hash of the partition table",
                filter: ".disk.gptRegions[0].image.sha384 = (\"0\" * 96)", says: "SHA-384", kind: "image.dataHash"),
            Fault(testDescription: "an old version", filter: ".version = \"1.1\"", says: "version", kind: "image.version"),
            Fault(
                testDescription: "an image that is not there",
                filter: partition + " |= . + {path: \"images/none.raw.zst\"}", says: "images/none.raw.zst",
                kind: "image.entryMissing"),
            Fault(
                testDescription: "a path that climbs", filter: partition + " |= . + {path: \"images/../x\"}", says: "..",
                kind: "image.metadata"),
            Fault(
                testDescription: "another disk size", filter: ".disk.size = (.disk.size - 4194304)", says: "GPT",
                kind: "image.gpt"),
        ])
        func anInvalidImage(fault: Fault) throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let changed = try image.repacked(in: folder, metadata: fault.filter)
                try run("bash", ["-euc", fault.script, "damage", changed])
                try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                    try expectUntouched(fault.kind, path) {
                        do {
                            _ = try stream(changed, to: path)
                        } catch let error as StreamError {
                            #expect(error.description.contains(fault.says), "\(error)")
                            throw error
                        }
                    }
                }
            }
        }

        @Test func aFileOneBlockTooSmall() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes - 512) { path in
                try expectUntouched("disk.tooSmall", path) { _ = try stream(image.path, to: path) }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aDiskOneBlockTooSmall() throws {
            let image = try SampleImage.make()
            try TestTarget.disk(blockBytes: 512).withOldTable(sizeBytes: image.diskBytes - 512) { path in
                try expectUntouched("disk.tooSmall", path) { _ = try stream(image.path, to: path) }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aDiskOfOtherBlocks() throws {
            let image = try SampleImage.make()
            try TestTarget.disk(blockBytes: 4096).withOldTable(sizeBytes: image.diskBytes) { path in
                try expectUntouched("disk.blockSize", path) { _ = try stream(image.path, to: path) }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aMountedDiskKeepsItsFiles() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                try withTemporaryFolder { folder in
                    try run("mkfs.ext4", ["-q", device.path])
                    try run("mount", [device.path, folder.path])
                    defer { _ = try? run("umount", [folder.path]) }
                    let file = folder.appending(path: "file").path
                    try run("cp", [image.path, file])
                    try run("sync", ["-f", file])
                    let before = try sha256(of: file)
                    let error = try failure { _ = try stream(image.path, to: device.path) }
                    #expect(error?.cause.kind == "disk.inUse")
                    #expect(error?.disk == .untouched)
                    #expect(error?.description.contains(folder.path) == true, "\(String(describing: error))")
                    try run("umount", [folder.path])
                    try run("e2fsck", ["-fn", device.path])
                    try run("mount", [device.path, folder.path])
                    #expect(try sha256(of: file) == before)
                }
            }
        }

        /// Only looked at: no run without a named disk may ever write in a test.
        @Test func noDiskOfThisHostIsLargeEnough() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let vast = try image.repacked(in: folder, metadata: ".disk.size = 4503599627370496")
                var options = StreamOptions()
                options.isDryRun = true
                let source = try makeImageSource(vast, options: SourceOptions())
                let error = try failure {
                    _ = try streamImage(from: source, to: .smallestDisk, options: options, approve: { _ in false })
                }
                #expect(error?.cause.kind == "disk.noneFits", "\(String(describing: error))")
                #expect(error?.disk == .untouched)
            }
        }

        @Test func anImageForAnotherMachineNeedsANamedDisk() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let host = try run("uname", ["-m"])
                let foreign = try image.repacked(
                    in: folder, metadata: ".osArch = \"\(host.contains("x86") ? "arm64" : "x86_64")\"")
                var options = StreamOptions()
                options.isDryRun = true
                // A size is that of many disks; a serial number names one.
                for (text, kind) in [
                    (nil, "architecture"), ("size>=1", "architecture"), ("model=none", "architecture"),
                    ("serial=of no disk", "disk.noneMatches"),
                ] {
                    let source = try makeImageSource(foreign, options: SourceOptions())
                    let hints = [text].compactMap { $0 }.compactMap { DiskHint($0) }
                    let error = try failure {
                        _ = try streamImage(
                            from: source, to: .smallestDisk(matching: hints), options: options, approve: { _ in false })
                    }
                    #expect(error?.cause.kind == kind, "\(String(describing: error))")
                }
                try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
                    let (_, log) = try stream(foreign, to: path)
                    #expect(log.warnings.contains { $0.contains("will not boot here") }, "\(log.warnings)")
                    try image.expectStreamed(to: path, was: was)
                }
            }
        }

        @Test func aTargetAnotherRunHolds() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
                var second: StreamError?
                _ = try stream(
                    image.path, to: path,
                    approve: { _ in
                        second = try? failure { _ = try stream(image.path, to: path) }
                        return true
                    })
                #expect(second?.cause.kind == "disk.busy")
                #expect(second?.disk == .untouched)
                // The first one does not mind.
                try image.expectStreamed(to: path, was: was)
            }
        }

        @Test(arguments: [true, false]) func aRunThatIsNotToWrite(isDryRun: Bool) throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let before = try sha256(of: path)
                var options = StreamOptions()
                options.isDryRun = isDryRun
                let (result, log) = try stream(image.path, to: path, options, approve: { _ in false })
                #expect(!result.isWritten)
                #expect(log.plans.count == 1)
                #expect(log.phases == [.preflight])
                #expect(try sha256(of: path) == before)
            }
        }
    }
}
