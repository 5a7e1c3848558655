import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// A server that does no ranges: one pass over one body.
@Suite struct SourceHTTPSequentialTests {
    private typealias Answer = FaultServer.Answer

    @Test func theFirstAnswerIsUsedToItsEnd() throws {
        let content = sampleBytes(5 << 20)
        let server = try FaultServer(content) { _ in Answer(ignoresRange: true) }
        let source = try makeByteSource(server.url(), options: quickOptions())
        defer { source.close() }
        let notes = NoteCollector()
        let head = try source.open(wantedBytes: 100_000, observer: notes.observer)
        #expect(head.isSequential)
        #expect(head.bytes == Array(content[..<100_000]))
        #expect(head.sizeBytes == 5 << 20)
        // Ascending, with a gap, one range partly in the head.
        for range in [200..<50_000, 99_000..<300_000, 300_000..<300_001, 2_000_000..<5 << 20] as [Range<Int>] {
            let sink = RecordingSink()
            try source.read(
                UInt64(range.lowerBound)..<UInt64(range.upperBound), into: sink, observer: notes.observer)
            #expect(sink.bytes == Array(content[range]))
        }
        #expect(server.requests.count == 1)
        #expect(notes.notes.isEmpty)
    }

    @Test func whatHasPassedCannotBeRead() throws {
        let server = try FaultServer(sampleBytes(3 << 20)) { _ in Answer(ignoresRange: true) }
        let source = try makeByteSource(server.url(), options: quickOptions())
        defer { source.close() }
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 1000, observer: notes.observer)
        try source.read(0..<2 << 20, into: RecordingSink(), observer: notes.observer)
        let error = sourceError { try source.read(1 << 20..<2 << 20, into: RecordingSink(), observer: notes.observer) }
        #expect(error?.kind == .unsupported)
    }

    @Test func aShortImageStaysInMemoryAndServesAnyOrder() throws {
        let content = sampleBytes(10_000)
        for isChunked in [false, true] {
            let server = try FaultServer(content) { _ in Answer(ignoresRange: true, isChunked: isChunked) }
            let source = try makeByteSource(server.url(), options: quickOptions())
            defer { source.close() }
            let notes = NoteCollector()
            let head = try source.open(wantedBytes: isChunked ? 10_001 : 10_000, observer: notes.observer)
            #expect(head.bytes == content)
            #expect(head.sizeBytes == 10_000)
            #expect(!head.isSequential)
            for range in [5000..<10_000, 0..<6000] as [Range<Int>] {
                let sink = RecordingSink()
                try source.read(
                    UInt64(range.lowerBound)..<UInt64(range.upperBound), into: sink, observer: notes.observer)
                #expect(sink.bytes == Array(content[range]))
            }
        }
    }

    @Test func anEmptyBodyIsAnEmptyImage() throws {
        for isChunked in [false, true] {
            let server = try FaultServer([]) { _ in Answer(status: 200, isChunked: isChunked) }
            let got = try fetchAll(server.url())
            #expect(got.head.sizeBytes == 0)
        }
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func aCutBodyIsFetchedAgainUpToWhereItWas(seed: UInt64) async throws {
        try await onThread {
            let content = sampleBytes(2 << 20, seed: seed)
            let random = Locked(SplitMix64(state: seed))
            let server = try FaultServer(content) { request in
                random.withLock { random in
                    var answer = Answer(ignoresRange: true, isChunked: seed % 2 == 1)
                    let cut = Int.random(in: 0...3 << 20, using: &random)
                    if request.index < 6 { answer.end = Bool.random(using: &random) ? .cut(cut) : .reset(cut) }
                    return answer
                }
            }
            let source = try makeByteSource(server.url(), options: quickOptions(retry: 20))
            defer { source.close() }
            let notes = NoteCollector()
            let head = try source.open(wantedBytes: 70_000, observer: notes.observer)
            #expect(head.isSequential)
            let sink = RecordingSink()
            try source.read(0..<2 << 20, into: sink, observer: notes.observer)
            #expect(sink.bytes == content, "seed \(seed)")
            #expect(server.requests.dropFirst().allSatisfy { $0.range == nil || $0.index < 6 })
        }
    }

    @Test func aBodyThatChangedMeanwhileIsNotContinued() throws {
        let content = sampleBytes(2 << 20)
        let changes: [Answer] = [
            Answer(headers: ["ETag": "\"v2\""], ignoresRange: true),
            Answer(headers: ["Content-Length": "\(3 << 20)"], ignoresRange: true),
            Answer(headers: ["ETag": nil, "Last-Modified": "Mon, 07 Nov 1994 08:49:37 GMT"], ignoresRange: true),
        ]
        for (index, change) in changes.enumerated() {
            let server = try FaultServer(content) { request in
                request.index == 0 ? Answer(ignoresRange: true).ending(.cut(1 << 20)) : change
            }
            #expect(sourceError { _ = try fetchAll(server.url()) }?.kind == .changed, "\(index)")
        }
    }

    @Test func aBodyThatIsAlwaysCutAtOnePlaceEnds() async throws {
        try await onThread {
            let server = try FaultServer(sampleBytes(1 << 20)) { _ in Answer(ignoresRange: true).ending(.cut(500_000)) }
            let error = sourceError { _ = try fetchAll(server.url(), options: quickOptions(retry: 1)) }
            #expect(error?.kind == .unreachable)
            #expect(error?.offset == 500_000)
        }
    }

    @Test func closingInTheMiddleIsPrompt() async throws {
        try await onThread {
            for end in [FaultServer.Answer.End.complete, .stall(2 << 20)] {
                let server = try FaultServer(sampleBytes(8 << 20)) { _ in Answer(ignoresRange: true).ending(end) }
                let source = try makeByteSource(server.url(), options: quickOptions(stall: 60))
                let notes = NoteCollector()
                _ = try source.open(wantedBytes: 1000, observer: notes.observer)
                Thread.sleep(forTimeInterval: 0.1)
                #expect(duration { source.close() } < 1)
            }
        }
    }

    @Test func aSlowReaderHoldsBackTheServer() async throws {
        try await onThread {
            // More than the socket buffers take.
            let content = sampleBytes(24 << 20)
            let server = try FaultServer(content) { _ in Answer(ignoresRange: true) }
            let source = try makeByteSource(server.url(), options: quickOptions(retry: 0.2, stall: 1))
            defer { source.close() }
            let notes = NoteCollector()
            _ = try source.open(wantedBytes: 1000, observer: notes.observer)
            Thread.sleep(forTimeInterval: 1.5)
            let sink = RecordingSink()
            try source.read(0..<UInt64(content.count), into: sink, observer: notes.observer)
            #expect(sink.bytes == content)
            #expect(notes.notes.isEmpty)
            #expect(server.requests.count == 1)
        }
    }
}
