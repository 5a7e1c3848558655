import Foundation
import StreamDisk
import Synchronization
import Testing

@testable import TestSupport

extension EndToEnd {
    /// A source that fails on the way either changes nothing in what arrives, or ends the run without a table.
    @Suite struct SourceTests {
        /// Answers requests for parts of the images as `answer` says, counted from 0, and all that come before as it should:
        /// those are for the head and for headers.
        private func onImages(_ answer: @escaping @Sendable (Int) -> FaultServer.Answer) -> FaultServer.Script {
            let count = Tally()
            return { request in
                let isForAnImage = request.index > 0 && (request.range?.count ?? .max) > 4096
                return isForAnImage ? answer(count.next()) : FaultServer.Answer()
            }
        }

        private func streamFrom(
            _ server: FaultServer, _ image: SampleImage, options: SourceOptions = patientOptions()
        ) throws -> RunLog {
            try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
                let (_, log) = try stream(server.url(), to: path, source: options)
                try image.expectStreamed(to: path, was: was)
                return log
            }
        }

        @Test func cutConnectionsChangeNothing() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(
                image.bytes,
                script: onImages { index in
                    switch index % 4 {
                    case 0: FaultServer.Answer().ending(.cut(1 << 20))
                    case 1: FaultServer.Answer().ending(.reset(900_001))
                    case 2: .status(503, retryAfter: "0")
                    default: FaultServer.Answer().ending(.cut(700_003))
                    }
                })
            let log = try streamFrom(server, image)
            #expect(log.retries.count > 6)
            let offsets = log.retries.map(\.offset)
            #expect(offsets.contains { $0 > 3_000_000 }, "the later retries resume further on: \(offsets)")
        }

        @Test func aStalledConnectionIsGivenUpAndResumed() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(
                image.bytes, script: onImages { $0 == 0 ? FaultServer.Answer().ending(.stall(10_000)) : FaultServer.Answer() })
            var options = patientOptions()
            options.stallTimeoutSeconds = 1
            // On a busy machine another second may pass without a byte.
            #expect(try streamFrom(server, image, options: options).retries.count >= 1)
        }

        @Test func aServerWithoutRangesIsReadOnAfterACut() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes) { request in
                var answer = FaultServer.Answer()
                answer.ignoresRange = true
                return request.index < 2 ? answer.ending(.cut(2_000_000 * (request.index + 1))) : answer
            }
            let log = try streamFrom(server, image)
            #expect(server.requests.count == 3)
            #expect(log.retries.count == 2)
        }

        @Test func aBitFlippedOnTheWayIsFound() throws {
            let image = try SampleImage.make()
            let flipped = try image.fileOffset(of: image.region("root")) + 2_000_000
            let server = try FaultServer(image.bytes) { _ in
                var answer = FaultServer.Answer()
                answer.flippedByte = flipped
                return answer
            }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let error = try failure { _ = try stream(server.url(), to: path) }
                #expect(error?.cause.kind.hasPrefix("image.data") == true)
                #expect(error?.disk == .withoutTable)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func anImageReplacedMeanwhileIsNoContinuation() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(
                image.bytes,
                script: onImages { index in
                    index == 0
                        ? FaultServer.Answer().ending(.cut(2_000_000)) : FaultServer.Answer().header("ETag", "\"v2\"")
                })
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let error = try failure { _ = try stream(server.url(), to: path) }
                #expect(error?.cause.kind == "source.changed")
                #expect(error?.disk == .withoutTable)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func aServerThatStaysAwayEndsTheRun() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(
                image.bytes, script: onImages { $0 == 0 ? FaultServer.Answer().ending(.cut(2_000_000)) : .nothing })
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                var error: StreamError?
                let seconds = try duration {
                    error = try failure { _ = try stream(server.url(), to: path, source: quickOptions(retry: 1.5, stall: 10)) }
                }
                #expect(error?.cause.kind == "source.unreachable")
                #expect((error?.phase, error?.disk) == (.write, .withoutTable))
                #expect(seconds < 10)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func whatCannotBeReadInOnePassIsRefusedUntouched() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let reordered = try image.repacked(in: folder, isTableLast: true)
                let nginx = try Nginx(.init(doesRanges: false))
                try nginx.serve("image.cosi", Array(Data(contentsOf: URL(filePath: reordered))))
                try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                    let before = try sha256(of: path)
                    let error = try failure { _ = try stream(nginx.url("image.cosi"), to: path) }
                    #expect(error?.cause.kind == "source.unsupported")
                    #expect(error?.disk == .untouched)
                    #expect(try sha256(of: path) == before)
                }
                // With ranges, and from a file, its order does not matter.
                try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
                    _ = try stream(reordered, to: path)
                    try image.expectStreamed(to: path, was: was)
                }
            }
        }
    }
}
