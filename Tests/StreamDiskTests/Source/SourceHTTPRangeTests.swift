import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// What is asked of a server that does all right, over one connection and several.
@Suite struct SourceHTTPRangeTests {
    private typealias Answer = FaultServer.Answer

    // MARK: Right answers

    @Test func theHeadIsOneRequestAndIsNotAskedForAgain() throws {
        let content = sampleBytes(300_000)
        let server = try FaultServer(content)
        let notes = NoteCollector()
        let source = try makeByteSource(server.url("/a.cosi?x=1"), options: quickOptions())
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

        let inside = RecordingSink()
        try source.read(500..<100_000, into: inside, observer: notes.observer)
        try source.read(7..<7, into: inside, observer: notes.observer)
        #expect(inside.bytes == Array(content[500..<100_000]))
        #expect(server.requests.count == 1)

        let across = RecordingSink()
        try source.read(99_990..<100_010, into: across, observer: notes.observer)
        #expect(across.bytes == Array(content[99_990..<100_010]))
        #expect(server.requests[1].headers["range"] == "bytes=100000-100009")
        #expect(server.requests[1].headers["if-range"] == "\"v1\"")
        #expect(server.connectionCount == 1, "the connection is kept")
        #expect(notes.notes.isEmpty)
    }

    @Test("What comes over other connections while the first one is late is told, until it is delivered.")
    func earlyBytesAreTold() throws {
        let content = sampleBytes(4 << 20)
        let server = try FaultServer(content) { request in Answer(delaySeconds: request.range?.lowerBound == 1000 ? 1.5 : 0) }
        let source = try makeByteSource(server.url(), options: quickOptions(connections: 4))
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 1000, observer: notes.observer)
        #expect(source.earlyBytes == 0)
        let early = Locked<UInt64?>(nil)
        let sink = RecordingSink { (total) throws(Stopped) in
            if total > 1000 { early.withLock { $0 = $0 ?? source.earlyBytes } }
        }
        try source.read(0..<UInt64(content.count), into: sink, observer: notes.observer)
        #expect(sink.bytes == content)
        // The segments behind the first one, of 1 MiB.
        #expect(try #require(early.withLock { $0 }) > 2 << 20)
        #expect(source.earlyBytes == 0)

        // Of a fetch that fails nothing is left.
        let refused = RecordingSink { (_) throws(Stopped) in throw Stopped() }
        #expect(sourceError { try source.read(1000..<UInt64(content.count), into: refused, observer: notes.observer) } != nil)
        #expect(source.earlyBytes == 0)
        source.close()
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
        let source = try makeByteSource(server.url(), options: quickOptions())
        _ = try source.open(wantedBytes: 10, observer: NoteCollector().observer)
        let error = sourceError {
            try source.read(0..<10_001, into: RecordingSink(), observer: NoteCollector().observer)
        }
        #expect(error?.kind == .changed)
        #expect(server.requests.count == 1)
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
            #expect(server.requests.count == 33)
            #expect(seconds < 10, "one after the other takes 32 s: \(seconds)")
        }
    }

    @Test func anErrorOfOneConnectionEndsAll() throws {
        let content = sampleBytes(8 << 20)
        let server = try FaultServer(content) { request in
            (request.range?.lowerBound ?? 0) > 5 << 20 ? .status(403) : Answer(trickle: (bytes: 1000, seconds: 0.01))
        }
        let seconds = duration {
            #expect(
                sourceError { _ = try fetchAll(server.url(), options: quickOptions(connections: 17)) }?.kind
                    == .notPermitted)
        }
        #expect(seconds < 5)
    }

    // MARK: Lanes and headers

    @Test func lanesReadSideBySide() async throws {
        let content = sampleBytes(2 << 20)
        let server = try FaultServer(content) { $0.index % 3 == 2 ? Answer().ending(.cut(100_000)) : Answer() }
        let source = try makeByteSource(server.url(), options: quickOptions())
        _ = try source.open(wantedBytes: 10, observer: NoteCollector().observer)
        try await withThrowingTaskGroup { group in
            for lane in 0..<4 {
                group.addTask {
                    try await onThread {
                        let start = UInt64(lane) * 512 << 10
                        let sink = RecordingSink()
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
        for header in [
            "novalue", ": x", "A b: x", "X: a\r\nY: b", "X: a\nb", "Range: bytes=0-1", "accept-encoding: gzip",
        ] {
            let error = sourceError { _ = try makeByteSource("http://h/x", options: quickOptions(headers: [header])) }
            #expect(error?.kind == .invalidReference, "\(header)")
        }
        _ = try makeByteSource("http://h/x", options: quickOptions(headers: ["X-Ok: a, b: c", "X-Empty:"]))
    }
}
