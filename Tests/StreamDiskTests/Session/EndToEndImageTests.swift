import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// What the field's producers write arrives byte for byte, from wherever it comes, on whatever it goes.
    @Suite struct ImageTests {
        enum Way: Sendable { case path, fileURL, http, https, withoutRanges }

        struct Example: Sendable, CustomTestStringConvertible {
            /// make-image's.
            let options: String
            let way: Way
            let target: TestTarget
            /// How much larger the disk is than the image's.
            var extraBytes: UInt64 = 0
            let engine: WriteEngine
            var imageless: String? = nil

            var testDescription: String {
                "\(options), by \(way), onto a \(target), \(extraBytes) bytes larger, \(engine)"
            }
        }

        @Test(arguments: [
            Example(options: SampleImage.small, way: .path, target: .file, engine: .uring),
            Example(
                options: "--size 64M --esp-mib 8 --style mkcosi --frames 3 --tar-format gnu --long-names --dot-slash --footer",
                way: .http, target: .file, extraBytes: 1_234_567, engine: .pwrite),
            Example(
                options: "--size 96M --esp-mib 20 --lba 4096 --data-mib 10 --zero-percent 70 --level 3", way: .fileURL,
                target: .file, extraBytes: 8192, engine: .uring, imageless: "data"),
            Example(
                options: SampleImage.small + " --level 3 --gpt-entries 130 --extra-entry --frames 5", way: .withoutRanges,
                target: .file, engine: .pwrite),
        ])
        func streamsIntoAFile(example: Example) throws { try check(example) }

        @Test(
            .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
            arguments: [
                Example(options: SampleImage.small, way: .http, target: .disk(blockBytes: 512), engine: .uring),
                Example(
                    options:
                        "--size 64M --esp-mib 8 --style mkcosi --frames 3 --tar-format gnu --long-names --dot-slash --footer",
                    way: .https, target: .disk(blockBytes: 512), extraBytes: 33 << 20, engine: .uring),
                Example(
                    options: SampleImage.small
                        + " --level 3 --tar-format pax --long-names --hash-bytes 1048577 --verity --footer",
                    way: .https, target: .disk(blockBytes: 512), extraBytes: 512, engine: .pwrite),
                Example(
                    options: "--size 96M --esp-mib 20 --style mkcosi --lba 4096 --data-mib 10 --zero-percent 70 --no-marker",
                    way: .http, target: .disk(blockBytes: 4096), engine: .pwrite),
                Example(
                    options: "--size 96M --esp-mib 20 --lba 4096 --data-mib 10 --zero-percent 70 --level 3", way: .path,
                    target: .disk(blockBytes: 4096), extraBytes: 4096 * 1001, engine: .uring, imageless: "data"),
                Example(
                    options: "--size 96M --esp-mib 20 --style mkcosi --lba 4096 --data-mib 10 --zero-percent 70 --no-marker",
                    way: .withoutRanges, target: .disk(blockBytes: 4096), extraBytes: 4096, engine: .uring),
            ])
        func streamsOntoADisk(example: Example) throws { try check(example) }

        private func check(_ example: Example) throws {
            let image = try SampleImage.make(example.options, imageless: example.imageless)
            try example.target.with(sizeBytes: image.diskBytes + example.extraBytes) { path, was in
                var options = StreamOptions()
                options.writeEngine = example.engine
                let hash = "sha384:" + image.manifest.metadataSha384
                options.hash = try #require(ExpectedHash(hash))
                let (result, log) = try withReference(image, example.way) { reference, source in
                    try stream(reference, to: path, options, source: source)
                }
                try image.expectStreamed(to: path, was: was)

                #expect(result.isWritten)
                #expect(result.fetchedBytes == image.compressedBytes)
                #expect(result.decodedBytes == image.decodedBytes)
                #expect(result.plan.engineName == (example.engine == .pwrite ? "pwrite" : "io_uring"))
                #expect(log.phases == [.preflight, .invalidate, .write, .commit, .done])
                #expect(log.retries.isEmpty)
                #expect(log.plans.count == 1)
                let planned = result.plan.partitions.filter { $0.imagePath != nil }
                let truth = image.manifest.regions.sorted { $0.offset < $1.offset }
                #expect(planned.map(\.number) == truth.map(\.number))
                #expect(planned.map(\.name) == truth.map(\.name))
                #expect(planned.map(\.offsetBytes) == truth.map(\.offset))
                #expect(planned.map(\.decodedBytes) == truth.map(\.uncompressedSize))
                let last = try #require(log.progress.last)
                #expect(last.decodedBytes == last.decodedBytesTotal)
            }
        }

        private func withReference<Value>(
            _ image: SampleImage, _ way: Way, _ body: (String, SourceOptions) throws -> Value
        ) throws -> Value {
            var source = patientOptions()
            switch way {
            case .path: return try body(image.path, source)
            case .fileURL: return try body("file://" + image.path, source)
            case .http, .https, .withoutRanges:
                var settings = Nginx.Settings()
                settings.doesRanges = way != .withoutRanges
                let nginx = try Nginx(settings)
                try nginx.serve("image.cosi", image.bytes)
                source.caFile = way == .https ? nginx.caFile : nil
                return try body(way == .https ? nginx.tlsURL("image.cosi") : nginx.url("image.cosi"), source)
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aDiskMayBeWrittenAgainAndAgain() throws {
            let (first, second) = (try SampleImage.make(), try SampleImage.make(SampleImage.small))
            try TestTarget.disk(blockBytes: 512).with(sizeBytes: first.diskBytes) { path, _ in
                _ = try stream(first.path, to: path)
                // As it is before the second run.
                try withTemporaryFolder { folder in
                    let was = folder.appending(path: "was").path
                    try run("dd", ["if=\(path)", "of=\(was)", "bs=4M", "status=none"])
                    _ = try stream(second.path, to: path)
                    try second.expectStreamed(to: path, was: was)
                }
            }
        }

        /// The next command of a script may mount it.
        @Test(
            .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
            arguments: [WriteEngine.uring, .pwrite])
        func theDiskIsFreeWhenTheRunHasEnded(engine: WriteEngine) throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                var options = StreamOptions()
                options.writeEngine = engine
                for _ in 0..<3 {
                    _ = try stream(image.path, to: device.path, options)
                    let exclusive = unsafe open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC)
                    #expect(exclusive >= 0, "errno \(errno)")
                    close(exclusive)
                }
            }
        }
    }
}
