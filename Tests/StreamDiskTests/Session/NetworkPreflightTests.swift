import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// What is told before the first byte is written: when it happens, and that something is waited for at all.
@Suite(.timeLimit(.minutes(10))) struct NetworkPreflightTests {
    private typealias Answer = FaultServer.Answer

    @Test("Retries in preflight are told when they happen, as text and as events with true times.")
    func retriesInPreflightAreToldAtOnce() async throws {
        try await onThread {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let server = try FaultServer(image.bytes) { request in
                    request.index < 3 ? Answer(delaySeconds: 60) : Answer()
                }
                let running = try Running(
                    [server.url(), "--disk", disk, "--yes", "--stall-timeout", "1", "--retry-timeout", "30"], events: true)
                try running.wait(for: "the first retry", seconds: 10) { running.errors.contains("no data for 1 s") }
                #expect(server.requests.count < 3, "while the next one is under way")
                let ended = try running.wait()
                #expect(ended.code == 0, "\(ended.errors)")
                let times = ended.events.filter { $0["event"] as? String == "retry" }.compactMap { $0["t"] as? Double }
                #expect(times.count == 3)
                // A stall time lies before each of them.
                let plan = try #require(ended.events.first { $0["event"] as? String == "plan" }?["t"] as? Double)
                let gaps = zip(times, [0] + times).map { $0 - $1 }
                #expect(gaps.allSatisfy { $0 > 0.9 } && plan > times.last ?? plan, "\(times) \(plan)")
            }
        }
    }

    @Test("A server without ranges is retried as loudly.")
    func retriesWithoutRangesAreToldAtOnce() async throws {
        try await onThread {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let server = try FaultServer(image.bytes) { request in
                    Answer(ignoresRange: true).ending(request.index < 2 ? .stall(20_000) : .complete)
                }
                let running = try Running(
                    [server.url(), "--disk", disk, "--yes", "--stall-timeout", "1", "--retry-timeout", "30"])
                try running.wait(for: "the first retry", seconds: 10) { running.errors.contains("no data for 1 s") }
                #expect(server.requests.count < 3)
                let ended = try running.wait()
                #expect(ended.code == 0, "\(ended.errors)")
            }
        }
    }

    @Test("Preflight that waits says so, again and again, and on the thread that called.")
    func silenceInPreflightIsTold() async throws {
        try await onThread {
            let source = SlowSource(openSeconds: 0.35)
            let caller = pthread_self()
            var warnings: [String] = []
            #expect(throws: StreamFault.self) {
                try BackgroundInspection(TransferState(), warningSeconds: 0.1).inspect(source, hash: .ignored) { event in
                    #expect(pthread_self() == caller)
                    if case .warning(let warning) = event { warnings.append(warning.description) }
                }
            }
            #expect((2...3).contains(warnings.count) && warnings.allSatisfy { $0.contains("still waiting") }, "\(warnings)")
        }
    }

    // MARK: Trust

    @Test("http without a hash: one warning; none with a hash, nor of a file or https.")
    func httpWithoutAHashIsWarnedOf() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let nginx = try Nginx()
            try nginx.serve("image.cosi", image.bytes)
            let hash = ["--hash", "sha384:" + image.manifest.metadataSha384]
            let (plain, secure) = (nginx.url("image.cosi"), nginx.tlsURL("image.cosi"))
            let trust = ["--cacert", nginx.caFile]
            for (arguments, count) in [
                ([plain], 1), ([plain] + hash, 0), ([secure] + trust, 0), ([image.path], 0), ([image.path] + hash, 0),
            ] {
                try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                    for verb in [["stream", "--yes"], ["verify"]] {
                        let ended = try Program.run(verb + arguments + ["--disk", disk], events: true)
                        #expect(ended.code == 0, "\(ended.errors)")
                        let lines = ended.errorLines.filter { $0.contains("--hash") && $0.hasPrefix("warning: ") }
                        let events = ended.events.filter { ($0["message"] as? String)?.contains("--hash") == true }
                        #expect(lines.count == count && events.count == count, "\(arguments): \(ended.errors)")
                    }
                }
            }
        }
    }

    @Test("The result says that the hash was checked when it was, and only then.")
    func theResultClaimsNoHashThatNobodyGave() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let hash = "sha384:" + image.manifest.metadataSha384
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                for options in [[], ["--verify"], ["--hash", "ignored"]] {
                    let ended = try Program.run(["stream", image.path, "--disk", disk, "--yes", "-v"] + options)
                    #expect(ended.code == 0 && ended.output.contains(hash) && ended.output.contains("flushed"))
                    #expect(!ended.output.contains("verified") && ended.output.contains("no --hash"), "\(ended.output)")
                }
                let ended = try Program.run(["stream", image.path, "--disk", disk, "--yes", "--hash", hash])
                #expect(ended.output.contains("verified") && !ended.output.contains("--hash"), "\(ended.output)")
            }
        }
    }
}

/// Takes its time, and then has nothing.
private final class SlowSource: ByteSource {
    let name = "slow"
    private let openSeconds: Double

    init(openSeconds: Double) { self.openSeconds = openSeconds }

    func open(wantedBytes: Int, observer: SourceObserver) -> ImageHead {
        Thread.sleep(forTimeInterval: openSeconds)
        return ImageHead(bytes: [], sizeBytes: 0, isSequential: false)
    }
    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) {}
    func close() {}
}
