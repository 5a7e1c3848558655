import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// Ranges from a server that misbehaves: cut, wrong, changed, or refused.
@Suite struct SourceHTTPFaultTests {
    private typealias Answer = FaultServer.Answer

    // MARK: Cuts

    @Test(arguments: 0..<12 as Range<UInt64>)
    func whatWasCutIsResumedAtTheLastByteReceived(seed: UInt64) async throws {
        try await onThread {
            let content = sampleBytes(400_000, seed: seed)
            let random = Locked(SplitMix64(state: seed))
            let server = try FaultServer(content) { request in
                random.withLock { random in
                    let cut = Int.random(in: 0...120_000, using: &random)
                    return switch Int.random(in: 0..<4, using: &random) {
                    case 0: Answer()
                    case 1: Answer.nothing
                    case 2: Answer().ending(.reset(cut))
                    default: Answer().ending(.cut(cut))
                    }
                }
            }
            let got = try fetchAll(server.url(), head: 50_000, options: quickOptions(retry: 20))
            #expect(got.bytes == content, "seed \(seed)")
            for request in server.requests where (request.range?.lowerBound ?? 0) > 0 {
                #expect(request.headers["if-range"] == "\"v1\"")
            }
        }
    }

    /// What hangs on a sink is the memory of all decoders.
    @Test("A read that ends early keeps nothing of its sink, before the source is closed.", arguments: [1, 4])
    func aReadThatEndsEarlyLetsGoOfItsSink(connections: Int) throws {
        let server = try FaultServer(sampleBytes(4_000_000))
        let source = try makeByteSource(server.url(), options: quickOptions(connections: connections))
        defer { source.close() }
        let observer = NoteCollector().observer
        _ = try source.open(wantedBytes: 1000, observer: observer)
        weak var kept: RecordingSink?
        func readInPart() {
            let sink = RecordingSink { (total) throws(Stopped) in if total > 100_000 { throw Stopped() } }
            kept = sink
            let error = sourceError { try source.read(0..<4_000_000, into: sink, observer: observer) }
            #expect(error?.kind == .stopped)
        }
        readInPart()
        #expect(kept == nil)
    }

    @Test func aCutIsResumedExactlyThereAndNoted() throws {
        let content = sampleBytes(200_000)
        let server = try FaultServer(content) { request in
            request.index == 1 ? Answer().ending(.cut(30_000)) : Answer()
        }
        let notes = NoteCollector()
        let got = try fetchAll(server.url("/i?secret"), notes: notes)
        #expect(got.bytes == content)
        #expect(
            server.requests.map { $0.headers["range"] } == ["bytes=0-999", "bytes=1000-199999", "bytes=31000-199999"])
        #expect(notes.notes.count == 1)
        #expect(notes.notes.first?.offset == 31_000)
        #expect(notes.notes.first?.attempt == 1)
        #expect((0.05...0.1).contains(notes.notes.first?.delaySeconds ?? 0))
    }

    @Test func aBodyThatEndsEarlyWithoutAnErrorIsResumed() throws {
        let content = sampleBytes(100_000)
        for isChunked in [false, true] {
            let server = try FaultServer(content) { request in
                guard request.index == 1, let range = request.range else { return Answer() }
                let part = Array(content[range.lowerBound..<range.lowerBound + 5000])
                return Answer().with {
                    $0.status = 206
                    $0.body = part
                    $0.isChunked = isChunked
                }
            }
            try #expect(fetchAll(server.url()).bytes == content)
            #expect(server.requests.count == 3)
        }
    }

    private static func part(_ content: [UInt8], _ range: ClosedRange<Int>, surplus: Int = 0) -> Answer {
        Answer().with {
            $0.status = 206
            $0.headers["Content-Range"] = "bytes \(range.lowerBound)-\(range.upperBound)/\(content.count)"
            $0.body = Array(content[range]) + [UInt8](repeating: 0xee, count: surplus)
            $0.isChunked = surplus > 0
        }
    }

    @Test(
        "A 206 that is right and shorter than asked for is gone on from its end, at once and without a word.", arguments: [1, 4])
    func aShortPartIsGoneOnFrom(connections: Int) async throws {
        try await onThread {
            let content = sampleBytes(3_000_000)
            for surplus in [0, 10_000] {
                let server = try FaultServer(content) { request in
                    guard let range = request.range else { return Answer() }
                    let end = min(range.upperBound, range.lowerBound + 99_999)
                    return Self.part(content, range.lowerBound...end, surplus: surplus)
                }
                let notes = NoteCollector()
                let options = quickOptions(connections: connections)
                let got = try fetchAll(server.url(), head: 250_000, options: options, notes: notes)
                #expect(got.bytes == content)
                #expect(got.head.bytes == Array(content[..<250_000]))
                #expect(notes.notes.isEmpty)
                #expect(server.requests.count >= 30)
            }
        }
    }

    @Test("Parts of a byte each end with the time for retries.")
    func partsOfAByteAreNoProgress() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let server = try FaultServer(content) { request in
                guard let range = request.range, range.lowerBound > 0 else { return Answer() }
                return Self.part(content, range.lowerBound...range.lowerBound).with { $0.delaySeconds = 0.02 }
            }
            let seconds = duration {
                let error = sourceError { _ = try fetchAll(server.url(), options: quickOptions(retry: 1)) }
                #expect(error?.kind == .unreachable)
            }
            #expect(seconds >= 1 && seconds < 4)
        }
    }

    @Test("An ETag beyond ASCII is compared, and not sent back.")
    func aTagBeyondASCIIIsNotSentBack() throws {
        let content = sampleBytes(100_000)
        let server = try FaultServer(content) { request in
            Answer().header("ETag", "\"\u{e9}\"").ending(request.index == 1 ? .cut(30_000) : .complete)
        }
        try #expect(fetchAll(server.url()).bytes == content)
        #expect(server.requests.count == 3)
        #expect(server.requests.last?.headers["if-range"] == "Sun, 06 Nov 1994 08:49:37 GMT")
    }

    @Test func surplusBytesAreNotDelivered() throws {
        let content = sampleBytes(100_000)
        let server = try FaultServer(content) { request in
            guard let range = request.range else { return Answer() }
            return Answer().with {
                $0.status = 206
                $0.body = Array(content[range]) + [UInt8](repeating: 0xee, count: 70_000)
                $0.isChunked = request.index % 2 == 1
            }
        }
        let got = try fetchAll(server.url(), head: 1000)
        #expect(got.head.bytes == Array(content[..<1000]))
        #expect(got.bytes == content)
    }

    // MARK: Contradictions

    @Test func aWrongRangeIsNeverSplicedIn() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let wrongs: [@Sendable (FaultServer.Request) -> Answer] = [
                { _ in Answer().header("Content-Range", "bytes 0-98999/100000") },
                { _ in Answer().header("Content-Range", nil) },
                { _ in Answer().header("Content-Range", "nonsense") },
                { _ in Answer().header("Content-Range", "bytes 1000-99999/*") },
                { _ in Answer().header("Content-Range", "bytes 1001-99999/100000") },
                { _ in Answer().header("Content-Type", "multipart/byteranges; boundary=b") },
                { _ in Answer().header("Content-Encoding", "gzip") },
                { _ in Answer(ignoresRange: true) },
                { _ in Answer(status: 204, body: []) },
            ]
            for (index, wrong) in wrongs.enumerated() {
                // Once: survived.
                let once = try FaultServer(content) { $0.index == 1 ? wrong($0) : Answer() }
                try #expect(fetchAll(once.url()).bytes == content, "\(index)")
                #expect(once.requests.count == 3)
                // For ever: told, after a few tries.
                let always = try FaultServer(content) { $0.index >= 1 ? wrong($0) : Answer() }
                let error = sourceError { _ = try fetchAll(always.url()) }
                #expect(error?.kind == .unsupported, "\(index): \(String(describing: error))")
                #expect(error?.offset == 1000)
                #expect(always.requests.count <= 6)
            }
        }
    }

    @Test func aChangedSourceIsAnErrorAndNotAContinuation() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let changes: [@Sendable (FaultServer.Request) -> Answer] = [
                { _ in Answer().header("ETag", "\"v2\"") },
                { _ in
                    Answer().with {
                        $0.status = 206
                        $0.headers = ["ETag": "\"v2\"", "Content-Range": "bytes 31000-99999/100000"]
                    }
                },
                { _ in Answer(status: 416) },
                { _ in Answer(ignoresRange: true).header("Content-Length", "99999") },
            ]
            for (index, change) in changes.enumerated() {
                let server = try FaultServer(content) { request in
                    switch request.index {
                    case 0: Answer()
                    case 1: Answer().ending(.cut(30_000))
                    default: change(request)
                    }
                }
                let error = sourceError { _ = try fetchAll(server.url()) }
                #expect(error?.kind == .changed, "\(index): \(String(describing: error))")
                #expect(server.requests.count == 3)
            }
        }
    }

    @Test func aWeakTagIsComparedButNotSent() throws {
        let content = sampleBytes(100_000)
        let server = try FaultServer(content) { request in
            Answer(headers: ["ETag": request.index < 2 ? "W/\"a\"" : "W/\"b\"", "Last-Modified": nil])
                .ending(request.index == 1 ? .cut(5000) : .complete)
        }
        #expect(sourceError { _ = try fetchAll(server.url()) }?.kind == .changed)
        #expect(server.requests.allSatisfy { $0.headers["if-range"] == nil })
    }

    // MARK: Statuses

    @Test func finalStatusesAreNotRetried() throws {
        for (status, kind) in [
            (404, SourceError.Kind.notFound), (410, .notFound), (401, .notPermitted), (403, .notPermitted),
            (407, .notPermitted), (400, .unreachable), (451, .unreachable), (405, .unreachable),
        ] {
            for first in [0, 1] {
                let server = try FaultServer(sampleBytes(10_000)) { $0.index >= first ? .status(status) : Answer() }
                let error = sourceError { _ = try fetchAll(server.url("/x?secret", userInfo: "secret:secret@")) }
                #expect(error?.kind == kind, "\(status)")
                #expect(error?.reason.contains("\(status)") == true)
                #expect(error?.source == server.url("/x"))
                #expect(error?.reason.contains("secret") == false)
                #expect(server.requests.count == first + 1)
            }
        }
    }

    @Test(arguments: [408, 425, 429, 500, 502, 503, 504])
    func passingStatusesAreRetried(status: Int) async throws {
        try await onThread {
            let content = sampleBytes(10_000)
            let server = try FaultServer(content) { $0.index % 2 == 0 ? .status(status) : Answer() }
            let notes = NoteCollector()
            try #expect(fetchAll(server.url(), notes: notes).bytes == content)
            #expect(server.requests.count == 4)
            #expect(notes.notes.allSatisfy { $0.reason.contains("\(status)") })
            #expect(server.connectionCount == 1, "a short answer does not cost the connection")
        }
    }

    @Test func retryAfterIsHonoured() async throws {
        try await onThread {
            let server = try FaultServer([1, 2, 3]) { $0.index == 0 ? .status(503, retryAfter: "1") : Answer() }
            let seconds = try duration { try #expect(fetchAll(server.url()).bytes == [1, 2, 3]) }
            #expect(seconds >= 1 && seconds < 4)
        }
    }

    @Test("One 503 that asks to wait beyond the time for retries is waited for as long as there is, and tried again.")
    func aRetryAfterBeyondTheTimeoutIsTriedAgain() async throws {
        try await onThread {
            for value in ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"] {
                let once = try FaultServer([1]) { $0.index == 0 ? .status(503, retryAfter: value) : Answer() }
                let notes = NoteCollector()
                try #expect(fetchAll(once.url(), options: quickOptions(retry: 1), notes: notes).bytes == [1])
                #expect(notes.notes.count == 1 && notes.notes.first?.delaySeconds == 1)

                let always = try FaultServer([1]) { _ in .status(429, retryAfter: value) }
                let error = sourceError { _ = try fetchAll(always.url(), options: quickOptions(retry: 1)) }
                #expect(error?.kind == .unreachable)
                #expect(error?.reason.contains("429") == true)
                #expect(always.requests.count == 2)
            }
        }
    }

    @Test func aServerThatFailsForEverEndsWithTheTimeout() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(50_000)) { $0.index == 0 ? Answer() : .status(503) }
            var error: SourceError?
            let seconds = duration {
                error = sourceError { _ = try fetchAll(server.url(), options: quickOptions(retry: 1)) }
            }
            #expect(seconds >= 0.9 && seconds < 4)
            #expect(error?.kind == .unreachable)
            #expect(error?.offset == 1000)
            #expect(error?.reason.hasPrefix("no progress for 1") == true, "\(String(describing: error))")
            #expect(error?.reason.contains("503") == true, "\(String(describing: error))")
        }
    }

    @Test func nobodyListeningEndsWithTheTimeout() async throws {
        try await onThread {
            let server = try FaultServer([])
            let url = server.url()
            server.stop()
            Thread.sleep(forTimeInterval: 0.1)
            let notes = NoteCollector()
            let error = sourceError { _ = try fetchAll(url, options: quickOptions(retry: 0.5), notes: notes) }
            #expect(error?.kind == .unreachable)
            #expect(notes.notes.count >= 2)
        }
    }
}
