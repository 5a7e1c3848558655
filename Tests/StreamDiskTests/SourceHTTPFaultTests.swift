import Foundation
import StreamDisk
import Testing

/// Ranges from a server that misbehaves.
@Suite struct SourceHTTPFaultTests {
    private typealias Answer = FaultServer.Answer

    // MARK: Right answers

    @Test func theHeadIsOneRequestAndIsNotAskedForAgain() throws {
        let content = sampleBytes(300_000)
        let server = try FaultServer(content)
        let notes = NoteCollector()
        let source = try makeSource(server.url("/a.cosi?x=1"), options: quickOptions())
        let head = try source.open(wantedBytes: 100_000, observer: notes.observer)
        #expect(head.bytes == Array(content[..<100_000]))
        #expect(head.sizeBytes == 300_000)
        #expect(!head.isSequential)
        #expect(server.requests.count == 1)
        #expect(server.requests[0].target == "/a.cosi?x=1")
        #expect(server.requests[0].headers["range"] == "bytes=0-99999")
        #expect(server.requests[0].headers["user-agent"] == "stream-disk/\(ProductVersion.current)")
        #expect(server.requests[0].headers["accept-encoding"] == nil)
        #expect(server.requests[0].headers["if-range"] == nil)

        let inside = CollectingSink()
        try source.read(500..<100_000, into: inside, observer: notes.observer)
        try source.read(7..<7, into: inside, observer: notes.observer)
        #expect(inside.bytes == Array(content[500..<100_000]))
        #expect(server.requests.count == 1)

        let across = CollectingSink()
        try source.read(99_990..<100_010, into: across, observer: notes.observer)
        #expect(across.bytes == Array(content[99_990..<100_010]))
        #expect(server.requests[1].headers["range"] == "bytes=100000-100009")
        #expect(server.requests[1].headers["if-range"] == "\"v1\"")
        #expect(server.connectionCount == 1, "the connection is kept")
        #expect(notes.notes.isEmpty)
    }

    @Test func aShortImageComesWhole() throws {
        let content = sampleBytes(10)
        let server = try FaultServer(content)
        let got = try fetchAll(server.url(), head: 1000)
        #expect(got.bytes == content)
        #expect(got.head.sizeBytes == 10)
        #expect(server.requests.count == 1)
    }

    @Test func anEmptyImageHasNoBytes() throws {
        let server = try FaultServer([])
        let got = try fetchAll(server.url())
        #expect(got.head.sizeBytes == 0)
        #expect(got.bytes.isEmpty)
    }

    @Test func bytesBeyondTheEndAreNotThere() throws {
        let server = try FaultServer(sampleBytes(10_000))
        let source = try makeSource(server.url(), options: quickOptions())
        _ = try source.open(wantedBytes: 10, observer: NoteCollector().observer)
        let error = sourceError {
            try source.read(0..<10_001, into: CollectingSink(), observer: NoteCollector().observer)
        }
        #expect(error?.kind == .changed)
        #expect(server.requests.count == 1)
    }

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

    @Test func aCutIsResumedExactlyThereAndNoted() throws {
        let content = sampleBytes(200_000)
        let server = try FaultServer(content) { request in
            request.index == 1 ? Answer().ending(.cut(30_000)) : Answer()
        }
        let notes = NoteCollector()
        let got = try fetchAll(server.url("/i?secret"), notes: notes)
        #expect(got.bytes == content)
        #expect(server.requests.map { $0.headers["range"] } == ["bytes=0-999", "bytes=1000-199999", "bytes=31000-199999"])
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
                { _ in Answer().with { $0.status = 206; $0.headers = ["ETag": "\"v2\"", "Content-Range": "bytes 31000-99999/100000"] } },
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

    @Test func aRetryAfterBeyondTheTimeoutEndsAtOnce() throws {
        for value in ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"] {
            let server = try FaultServer([1]) { _ in .status(429, retryAfter: value) }
            let seconds = duration {
                let error = sourceError { _ = try fetchAll(server.url()) }
                #expect(error?.kind == .unreachable)
                #expect(error?.reason.contains("429") == true)
            }
            #expect(seconds < 4)
            #expect(server.requests.count == 1)
        }
    }

    @Test func aServerThatFailsForEverEndsWithTheTimeout() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(50_000)) { $0.index == 0 ? Answer() : .status(503) }
            var error: SourceError?
            let seconds = duration { error = sourceError { _ = try fetchAll(server.url(), options: quickOptions(retry: 1)) } }
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

    // MARK: Too slow

    @Test func aStallIsResumed() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let server = try FaultServer(content) { $0.index == 1 ? Answer().ending(.stall(20_000)) : Answer() }
            let notes = NoteCollector()
            let seconds = try duration {
                try #expect(fetchAll(server.url(), options: quickOptions(), notes: notes).bytes == content)
            }
            #expect(seconds >= 1 && seconds < 4)
            #expect(server.requests.last?.headers["range"] == "bytes=21000-99999")
            #expect(notes.notes.map(\.reason) == ["no data for 1 s"])
        }
    }

    @Test func aServerThatOnlyStallsEndsWithTheTimeout() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(10_000)) { _ in Answer(delaySeconds: 60) }
            // The stall time is longer than the retry time: the second try must not use all of it.
            let seconds = duration {
                let error = sourceError {
                    _ = try fetchAll(server.url(), options: quickOptions(retry: 0.7, stall: 1))
                }
                #expect(error?.kind == .unreachable)
            }
            #expect(seconds >= 1.5 && seconds < 5, "\(seconds)")
        }
    }

    @Test func aByteAConnectionIsNoProgress() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(10_000)) { $0.index == 0 ? Answer() : Answer().ending(.cut(1)) }
            let error = sourceError { _ = try fetchAll(server.url(), options: quickOptions(retry: 1)) }
            #expect(error?.kind == .unreachable)
            #expect((error?.offset ?? 0) > 1000)
        }
    }

    @Test func aTrickleOfAFewBytesIsAStall() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(10_000)) { request in
                request.index == 0 ? Answer() : Answer(trickle: (bytes: 1, seconds: 0.02))
            }
            let notes = NoteCollector()
            let error = sourceError {
                _ = try fetchAll(server.url(), options: quickOptions(retry: 1, stall: 0.4), notes: notes)
            }
            #expect(error?.kind == .unreachable)
            #expect(notes.notes.first?.reason == "no data for 0.4 s")
        }
    }

    @Test func slowButSteadyIsNoFault() async throws {
        try await onThread {
            let content = sampleBytes(12_000)
            let server = try FaultServer(content) { _ in Answer(trickle: (bytes: 600, seconds: 0.1)) }
            let notes = NoteCollector()
            try #expect(fetchAll(server.url(), options: quickOptions(retry: 0.2, stall: 1), notes: notes).bytes == content)
            #expect(notes.notes.isEmpty)
        }
    }

    @Test func aSlowSinkIsNotTheServersFault() async throws {
        try await onThread {
            let content = sampleBytes(3 << 20)
            let server = try FaultServer(content)
            let source = try makeSource(server.url(), options: quickOptions(retry: 0.3, stall: 1))
            let notes = NoteCollector()
            _ = try source.open(wantedBytes: 10, observer: notes.observer)
            let sink = CollectingSink { (total) throws(SourceError) in
                if (500_000..<516_384).contains(total) { Thread.sleep(forTimeInterval: 1.5) }
            }
            try source.read(0..<3 << 20, into: sink, observer: notes.observer)
            #expect(sink.bytes == content)
            #expect(notes.notes.isEmpty)
            #expect(server.requests.count == 2)
        }
    }

    // MARK: Stopping

    @Test func theSinksErrorComesBackAsItIs() throws {
        let server = try FaultServer(sampleBytes(1 << 20))
        let source = try makeSource(server.url(), options: quickOptions())
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 10, observer: notes.observer)
        let sink = CollectingSink { (total) throws(SourceError) in
            if total > 100_000 { throw SourceError(.stopped, source: "test", reason: "enough") }
        }
        #expect(sourceError { try source.read(0..<1 << 20, into: sink, observer: notes.observer) }?.reason == "enough")
        #expect(sink.bytes.count < 200_000)
        // And the source can still be read.
        let again = CollectingSink()
        try source.read(50..<60_000, into: again, observer: notes.observer)
        #expect(again.bytes.count == 59_950)
    }

    enum Waiting: CaseIterable { case forTheFirstAnswer, inABody, inABackoff, inASequentialBody }

    @Test(arguments: Waiting.allCases)
    func cancellationEndsAWaitWithinASecond(waiting: Waiting) async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(100_000)) { request in
                switch waiting {
                case .forTheFirstAnswer: Answer(delaySeconds: 60)
                case .inABody: request.index == 0 ? Answer() : Answer().ending(.stall(5000))
                case .inABackoff: .status(503, retryAfter: "20")
                case .inASequentialBody: Answer(ignoresRange: true).ending(.stall(5000))
                }
            }
            let notes = NoteCollector()
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: 0.3)
                notes.cancellation.cancel()
            }
            let seconds = duration {
                let error = sourceError {
                    _ = try fetchAll(server.url(), options: quickOptions(retry: 60, stall: 60), notes: notes)
                }
                #expect(error?.kind == .stopped)
            }
            #expect(seconds >= 0.25 && seconds < 1.3, "\(seconds)")
        }
    }

    // MARK: Redirects

    private static let secrets = ["Authorization: Bearer secret", "X-Token: secret"]

    @Test func redirectsAreFollowedAndRemembered() throws {
        let content = sampleBytes(50_000)
        let mirror = try FaultServer(content)
        let target = mirror.url("/mirror/i.cosi?signature=secret")
        let first = try FaultServer([]) { request in
            request.path == "/hop" ? .redirect(307, to: target) : .redirect(301, to: "/hop")
        }
        try #expect(fetchAll(first.url(), options: quickOptions(headers: Self.secrets)).bytes == content)
        #expect(first.requests.map(\.path) == ["/image.cosi", "/hop"], "ranges go to the last place at once")
        #expect(mirror.requests.count == 2)
        #expect(first.requests.allSatisfy { $0.headers["x-token"] == "secret" })
    }

    @Test func credentialsNeverReachAnotherOrigin() throws {
        let content = sampleBytes(50_000)
        let other = try FaultServer(content)
        let target = other.url()
        let first = try FaultServer(content) { _ in .redirect(to: target) }
        // Another port is another origin, and so is another name of the same host.
        let same = try FaultServer(content)
        let byName = try FaultServer(content) { [port = same.port] _ in
            .redirect(to: "http://other:hidden@localhost:\(port)/image.cosi")
        }
        for (server, reached) in [(first, other), (byName, same)] {
            let url = server.url(userInfo: "user:secret@")
            let got = try fetchAll(url, options: quickOptions(headers: ["X-Token: secret", "Cookie: secret"]))
            #expect(got.bytes == content)
            #expect(server.requests[0].headers["authorization"] == "Basic " + Data("user:secret".utf8).base64EncodedString())
            #expect(server.requests[0].headers["x-token"] == "secret")
            for request in reached.requests {
                #expect(request.headers["authorization"] == nil)
                #expect(request.headers["x-token"] == nil)
                #expect(request.headers["cookie"] == nil)
                #expect(request.headers["referer"] == nil)
                #expect(!request.target.contains("secret"))
            }
            #expect(reached.requests.count == 2)
        }
    }

    @Test func credentialsStayWithTheirOrigin() throws {
        let content = sampleBytes(5000)
        let server = try FaultServer(content) { $0.path == "/image.cosi" ? .redirect(to: "/moved") : Answer() }
        _ = try fetchAll(server.url(userInfo: "user:secret@"), options: quickOptions(headers: ["X-Token: secret"]))
        #expect(server.requests.count == 3)
        for request in server.requests {
            #expect(request.headers["authorization"] != nil)
            #expect(request.headers["x-token"] == "secret")
        }
    }

    @Test func endlessOrOddRedirectsAreRefused() async throws {
        try await onThread {
            let loop = try FaultServer([]) { .redirect(to: $0.path == "/a" ? "/b" : "/a") }
            let error = sourceError { _ = try fetchAll(loop.url()) }
            #expect(error?.kind == .unreachable)
            #expect(error?.reason.contains("10") == true)
            #expect(loop.requests.count == 11)
            for target in ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/", "http://"] {
                let server = try FaultServer([]) { _ in .redirect(to: target) }
                #expect(sourceError { _ = try fetchAll(server.url()) }?.kind == .unreachable, "\(target)")
                #expect(server.requests.count == 1)
            }
            let nowhere = try FaultServer([]) { _ in .status(302) }
            #expect(sourceError { _ = try fetchAll(nowhere.url()) }?.kind == .unreachable)
        }
    }

    @Test func anExpiredPlaceIsAskedForAnew() async throws {
        try await onThread {
            let content = sampleBytes(50_000)
            let mirror = try FaultServer(content) { request in
                request.target.hasSuffix("?v=0") && request.index > 0 ? .status(403) : Answer()
            }
            let first = try FaultServer([]) { [port = mirror.port] request in
                .redirect(to: "http://127.0.0.1:\(port)/i?v=\(request.index)")
            }
            try #expect(fetchAll(first.url()).bytes == content)
            #expect(mirror.requests.map(\.target) == ["/i?v=0", "/i?v=0", "/i?v=1"])

            // Where a new one is no better, that is the answer.
            let closed = try FaultServer(content) { $0.index > 0 ? .status(403) : Answer() }
            let second = try FaultServer([]) { [port = closed.port] _ in .redirect(to: "http://127.0.0.1:\(port)/i?secret") }
            let error = sourceError { _ = try fetchAll(second.url()) }
            #expect(error?.kind == .notPermitted)
            #expect(error?.reason.contains("/i)") == true, "the place is named: \(String(describing: error))")
            #expect(error?.reason.contains("secret") == false)
            #expect(closed.requests.count == 3)
        }
    }

    // MARK: Several connections

    @Test(arguments: 0..<6 as Range<UInt64>)
    func severalConnectionsDeliverInOrder(seed: UInt64) async throws {
        try await onThread {
            let content = sampleBytes(9 << 20, seed: seed)
            let random = Locked(SplitMix64(state: seed))
            let server = try FaultServer(content) { request in
                random.withLock { random in
                    Int.random(in: 0..<3, using: &random) == 0
                        ? Answer().ending(.cut(Int.random(in: 0...800_000, using: &random)))
                        : Answer(delaySeconds: Double.random(in: 0...0.02, using: &random))
                }
            }
            let got = try fetchAll(server.url(), head: 100_000, options: quickOptions(retry: 20, connections: 17))
            #expect(got.bytes == content, "seed \(seed)")
            #expect(server.connectionCount > 3)
        }
    }

    @Test func severalConnectionsAreReallyAtWorkAtOnce() async throws {
        try await onThread {
            let content = sampleBytes(8 << 20)
            let server = try FaultServer(content) { $0.index == 0 ? Answer() : Answer(delaySeconds: 1) }
            let seconds = try duration {
                try #expect(fetchAll(server.url(), options: quickOptions(stall: 10, connections: 17)).bytes == content)
            }
            #expect(server.requests.count == 9)
            #expect(seconds < 5, "one after the other takes 8 s: \(seconds)")
        }
    }

    @Test func anErrorOfOneConnectionEndsAll() throws {
        let content = sampleBytes(8 << 20)
        let server = try FaultServer(content) { request in
            (request.range?.lowerBound ?? 0) > 5 << 20 ? .status(403) : Answer(trickle: (bytes: 1000, seconds: 0.01))
        }
        let seconds = duration {
            #expect(sourceError { _ = try fetchAll(server.url(), options: quickOptions(connections: 17)) }?.kind == .notPermitted)
        }
        #expect(seconds < 5)
    }

    // MARK: Lanes and headers

    @Test func lanesReadSideBySide() async throws {
        let content = sampleBytes(2 << 20)
        let server = try FaultServer(content) { $0.index % 3 == 2 ? Answer().ending(.cut(100_000)) : Answer() }
        let source = try makeSource(server.url(), options: quickOptions())
        _ = try source.open(wantedBytes: 10, observer: NoteCollector().observer)
        try await withThrowingTaskGroup { group in
            for lane in 0..<4 {
                group.addTask {
                    try await onThread {
                        let start = UInt64(lane) * 512 << 10
                        let sink = CollectingSink()
                        try source.read(start..<start + 512 << 10, into: sink, observer: NoteCollector().observer)
                        #expect(sink.bytes == Array(content[Int(start)..<Int(start) + 512 << 10]))
                    }
                }
            }
            try await group.waitForAll()
        }
        source.close()
    }

    @Test func headersAreCheckedBeforeAnythingIsSent() throws {
        for header in ["novalue", ": x", "A b: x", "X: a\r\nY: b", "X: a\nb", "Range: bytes=0-1", "accept-encoding: gzip"] {
            let error = sourceError { _ = try makeSource("http://h/x", options: quickOptions(headers: [header])) }
            #expect(error?.kind == .invalidReference, "\(header)")
        }
        _ = try makeSource("http://h/x", options: quickOptions(headers: ["X-Ok: a, b: c", "X-Empty:"]))
    }
}
