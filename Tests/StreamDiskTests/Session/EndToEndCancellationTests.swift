import Foundation
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// A run that is cancelled ends soon, and as cleanly as one that fails.
    @Suite struct CancellationTests {
        private func slowServer(_ image: SampleImage) throws -> Nginx {
            // Quick up to the middle of the larger image.
            let nginx = try Nginx(.init(limitRate: "300k", extra: "limit_rate_after 2m;"))
            try nginx.serve("image.cosi", image.bytes)
            return nginx
        }

        @Test(arguments: [WriteEngine.uring, .pwrite])
        func fromAnEventInTheMiddle(engine: WriteEngine) throws {
            let image = try SampleImage.make()
            let nginx = try slowServer(image)
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let cancellation = Cancellation()
                var options = StreamOptions()
                options.writeEngine = engine
                var since = ContinuousClock.now
                let error = try failure {
                    _ = try stream(
                        nginx.url("image.cosi"), to: path, options, cancellation: cancellation,
                        onEvent: { event in
                            guard case .progress(let progress) = event, progress.decodedBytes > 0 else { return }
                            guard !cancellation.isCancelled else { return }
                            since = .now
                            cancellation.cancel()
                        })
                }
                #expect(since.duration(to: .now) < .seconds(5))
                #expect(error?.cause.kind == "cancelled")
                #expect((error?.phase, error?.disk) == (.write, .withoutTable))
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func fromAnotherThread() throws {
            let image = try SampleImage.make()
            let nginx = try slowServer(image)
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let cancellation = Cancellation()
                var isStarted = false
                let seconds = try duration {
                    let error = try failure {
                        _ = try stream(
                            nginx.url("image.cosi"), to: path, cancellation: cancellation,
                            onEvent: { event in
                                guard case .phase(.write) = event, !isStarted else { return }
                                isStarted = true
                                Thread.detachNewThread {
                                    usleep(700_000)
                                    cancellation.cancel()
                                }
                            })
                    }
                    #expect(error?.cause.kind == "cancelled")
                    #expect(error?.disk == .withoutTable)
                }
                #expect(seconds < 6)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test func whileTheServerIsSilent() throws {
            let image = try SampleImage.make()
            // The head comes at once, and of the first image a part, then nothing for a minute.
            let server = try FaultServer(image.bytes) { request in
                (request.range?.count ?? .max) > 1 << 20
                    ? FaultServer.Answer().ending(.stall(1_000_000)) : FaultServer.Answer()
            }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let cancellation = Cancellation()
                let seconds = try duration {
                    let error = try failure {
                        _ = try stream(
                            server.url(), to: path, source: quickOptions(stall: 30), cancellation: cancellation,
                            onEvent: { event in
                                if case .progress(let progress) = event, progress.elapsedSeconds > 1 { cancellation.cancel() }
                            })
                    }
                    #expect(error?.cause.kind == "cancelled")
                }
                #expect(seconds < 5)
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test(arguments: [true, false]) func beforeTheFirstWrite(isBeforeTheRun: Bool) throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let before = try sha256(of: path)
                let cancellation = Cancellation()
                if isBeforeTheRun { cancellation.cancel() }
                let error = try failure {
                    _ = try stream(
                        image.path, to: path, cancellation: cancellation,
                        approve: { _ in
                            cancellation.cancel()
                            return true
                        })
                }
                #expect(error?.cause.kind == "cancelled")
                #expect((error?.phase, error?.disk) == (.preflight, .untouched))
                #expect(try sha256(of: path) == before)
            }
        }
    }
}
