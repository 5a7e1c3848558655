import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// A server that is slow or silent, and a caller that wants no more.
@Suite struct SourceHTTPTimingTests {
    private typealias Answer = FaultServer.Answer

    // MARK: Too slow

    @Test func aStallIsResumed() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let server = try FaultServer(content) { $0.index == 1 ? Answer().ending(.stall(20_000)) : Answer() }
            let notes = NoteCollector()
            let seconds = try duration {
                try #expect(fetchAll(server.url(), options: quickOptions(stall: 1), notes: notes).bytes == content)
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
            try #expect(
                fetchAll(server.url(), options: quickOptions(retry: 0.2, stall: 1), notes: notes).bytes == content)
            #expect(notes.notes.isEmpty)
        }
    }

    @Test func aSlowSinkIsNotTheServersFault() async throws {
        try await onThread {
            let content = sampleBytes(3 << 20)
            let server = try FaultServer(content)
            let source = try makeByteSource(server.url(), options: quickOptions(retry: 0.3, stall: 1))
            let notes = NoteCollector()
            _ = try source.open(wantedBytes: 10, observer: notes.observer)
            let sink = RecordingSink { (total) throws(Stopped) in
                if (500_000..<516_384).contains(total) { Thread.sleep(forTimeInterval: 1.5) }
            }
            try source.read(0..<3 << 20, into: sink, observer: notes.observer)
            #expect(sink.bytes == content)
            #expect(notes.notes.isEmpty)
            #expect(server.requests.count == 2)
        }
    }

    @Test func timeInTheSinkDoesNotCountForTheRetryTimeout() async throws {
        try await onThread {
            let content = sampleBytes(100_000)
            let server = try FaultServer(content) { request in
                request.index == 1 || request.index == 2 ? Answer().ending(.cut(20_000)) : Answer()
            }
            let notes = NoteCollector()
            let source = try makeByteSource(server.url(), options: quickOptions(retry: 2))
            _ = try source.open(wantedBytes: 10, observer: notes.observer)
            let hasSlept = Locked(false)
            let sink = RecordingSink { (total) throws(Stopped) in
                // Between the first cut and the second, which is too near to be progress.
                let isFirst = hasSlept.withLock { hasSlept in
                    defer { hasSlept = hasSlept || total > 25_000 }
                    return !hasSlept && total > 25_000
                }
                if isFirst { Thread.sleep(forTimeInterval: 2.5) }
            }
            try source.read(0..<100_000, into: sink, observer: notes.observer)
            #expect(sink.bytes == content)
            #expect(notes.notes.map(\.attempt) == [1, 2])
        }
    }

    // MARK: Stopping

    @Test func aSinkThatWantsNoMoreStopsTheRead() throws {
        let server = try FaultServer(sampleBytes(1 << 20))
        let source = try makeByteSource(server.url(), options: quickOptions())
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 10, observer: notes.observer)
        let sink = RecordingSink { (total) throws(Stopped) in
            if total > 100_000 { throw Stopped() }
        }
        #expect(sourceError { try source.read(0..<1 << 20, into: sink, observer: notes.observer) }?.kind == .stopped)
        #expect(sink.bytes.count < 200_000)
        // And the source can still be read.
        let again = RecordingSink()
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
                Thread.sleep(forTimeInterval: 0.2)
                notes.cancellation.cancel()
            }
            let seconds = duration {
                let error = sourceError {
                    _ = try fetchAll(server.url(), options: quickOptions(retry: 60, stall: 60), notes: notes)
                }
                #expect(error?.kind == .stopped)
            }
            #expect(seconds >= 0.15 && seconds < 0.8, "\(seconds)")
        }
    }
}
