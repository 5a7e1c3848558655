import Foundation
import Testing

@testable import TestSupport

/// Every way a network can go wrong, through the command line: the disk is whole, or the run ends with the right code in
/// bounded time and without a table. Never wrong bytes.
///
/// The runs mostly wait, so several go on at once, each on a thread of its own.
@Suite(.timeLimit(.minutes(10))) struct NetworkPlanTests {
    private static let places = DispatchSemaphore(value: 6)

    /// What must come of a plan.
    enum Outcome: Sendable {
        case whole
        /// Ends before the first write: the disk is what it was.
        case refused(Int32)
        /// Ends on the way: the disk has no table.
        case stopped(Int32)
    }

    struct Plan: Sendable, CustomTestStringConvertible {
        let name: String
        let outcome: Outcome
        /// Words that the error line must hold.
        var says: [String] = []
        /// What is answered to the n-th request for image bytes, counted from 0, which begins at this byte.
        let answer: @Sendable (_ index: Int, _ first: Int) -> FaultServer.Answer
        /// What is answered to the very first requests, for the head and for headers.
        var head: @Sendable (FaultServer.Request) -> FaultServer.Answer = { _ in FaultServer.Answer() }

        var testDescription: String { name }
    }

    private typealias Answer = FaultServer.Answer

    private static func always(_ answer: Answer) -> @Sendable (Int, Int) -> Answer { { _, _ in answer } }
    /// The first `count` requests go wrong.
    private static func first(_ count: Int, _ answer: Answer) -> @Sendable (Int, Int) -> Answer {
        { index, _ in index < count ? answer : Answer() }
    }
    private static func atFirstContact(_ answer: Answer) -> @Sendable (FaultServer.Request) -> Answer { { _ in answer } }

    static let survived: [Plan] = [
        Plan(name: "cut again and again", outcome: .whole, answer: first(6, Answer().ending(.cut(700_001)))),
        Plan(name: "reset again and again", outcome: .whole, answer: first(4, Answer().ending(.reset(300_000)))),
        Plan(name: "a stall", outcome: .whole, answer: first(1, Answer().ending(.stall(100_000)))),
        Plan(
            name: "slow but steady", outcome: .whole,
            answer: first(3, Answer(trickle: (bytes: 32 << 10, seconds: 0.002)))),
        Plan(name: "no answer twice", outcome: .whole, answer: first(2, .nothing)),
        Plan(name: "a late answer", outcome: .whole, answer: first(2, Answer(delaySeconds: 0.5))),
        Plan(name: "503 three times", outcome: .whole, answer: first(3, .status(503, retryAfter: "0"))),
        Plan(name: "429 with Retry-After", outcome: .whole, answer: first(1, .status(429, retryAfter: "1"))),
        Plan(
            name: "one 503 with a Retry-After beyond the time-out", outcome: .whole,
            answer: first(1, .status(503, retryAfter: "86400"))),
        Plan(
            name: "parts shorter than asked for", outcome: .whole,
            answer: always(Answer(partBytesMax: 300_000))),
        Plan(
            name: "once another range than was asked for", outcome: .whole,
            answer: first(1, Answer().header("Content-Range", "bytes 0-9/10"))),
        Plan(
            name: "once no Content-Range", outcome: .whole, answer: first(1, Answer().header("Content-Range", nil))),
        Plan(name: "once 200 for 206", outcome: .whole, answer: first(1, Answer(ignoresRange: true))),
        Plan(name: "no Content-Length", outcome: .whole, answer: always(Answer(isChunked: true))),
        Plan(
            name: "a Content-Length that is too long", outcome: .whole,
            answer: first(1, Answer().header("Content-Length", "99999999"))),
        Plan(
            name: "once a Content-Length that is too short", outcome: .whole,
            answer: first(1, Answer().header("Content-Length", "1000"))),
        Plan(
            name: "no ranges from the start", outcome: .whole, answer: always(Answer(ignoresRange: true)),
            head: atFirstContact(Answer(ignoresRange: true))),
    ]

    static let fatal: [Plan] = [
        Plan(
            name: "a body shifted by one byte", outcome: .stopped(65), answer: always(Answer(shiftBytes: 1))),
        Plan(
            name: "a flipped bit", outcome: .stopped(65), says: ["image"],
            answer: { _, first in Answer(flippedByte: first + 100_000) }),
        Plan(
            name: "another version behind the cut", outcome: .stopped(65),
            answer: { index, _ in
                index == 0 ? Answer().ending(.cut(500_000)) : Answer().header("ETag", "\"v2\"")
            }),
        Plan(name: "503 for ever", outcome: .stopped(69), says: ["503"], answer: always(.status(503))),
        Plan(
            name: "429 with a Retry-After beyond the time-out", outcome: .stopped(69), says: ["429"],
            answer: always(.status(429, retryAfter: "86400"))),
        Plan(
            name: "cut at the same byte for ever", outcome: .stopped(69),
            answer: { _, first in first > 2_000_000 ? .nothing : Answer().ending(.cut(max(0, 2_000_001 - first))) }),
        Plan(name: "silence for ever", outcome: .stopped(69), answer: always(Answer().ending(.stall(0)))),
        Plan(
            name: "a byte every now and then", outcome: .stopped(69),
            answer: always(Answer(trickle: (bytes: 1, seconds: 0.2)))),
        Plan(name: "no answer for ever", outcome: .stopped(69), answer: always(.nothing)),
        Plan(name: "gone on the way", outcome: .stopped(66), says: ["404"], answer: always(.status(404))),
        Plan(name: "forbidden on the way", outcome: .stopped(77), says: ["403"], answer: always(.status(403))),
        Plan(
            name: "another range for ever", outcome: .stopped(76), says: ["Content-Range"],
            answer: always(Answer().header("Content-Range", "bytes 0-9/10"))),
        Plan(
            name: "200 for 206 for ever", outcome: .stopped(76), says: ["200"],
            answer: always(Answer(ignoresRange: true))),
        Plan(
            name: "a redirect loop on the way", outcome: .stopped(69), says: ["redirects"],
            answer: always(.redirect(to: "/image.cosi"))),
    ]

    static let refused: [Plan] = [
        Plan(name: "404", outcome: .refused(66), says: ["404"], answer: always(Answer()), head: atFirstContact(.status(404))),
        Plan(name: "403", outcome: .refused(77), says: ["403"], answer: always(Answer()), head: atFirstContact(.status(403))),
        Plan(name: "401", outcome: .refused(77), says: ["401"], answer: always(Answer()), head: atFirstContact(.status(401))),
        Plan(
            name: "503 from the start", outcome: .refused(69), says: ["503"], answer: always(Answer()),
            head: atFirstContact(.status(503))),
        Plan(
            name: "a redirect loop", outcome: .refused(69), says: ["redirects"], answer: always(Answer()),
            head: atFirstContact(.redirect(to: "/image.cosi"))),
        Plan(
            name: "a redirect to a file", outcome: .refused(69), says: ["redirects"], answer: always(Answer()),
            head: atFirstContact(.redirect(to: "file:///etc/passwd"))),
        Plan(
            name: "silence from the start", outcome: .refused(69), answer: always(Answer()),
            head: atFirstContact(Answer().ending(.stall(0)))),
        Plan(
            name: "a compressed answer that was not asked for", outcome: .refused(76), says: ["Content-Encoding"],
            answer: always(Answer()), head: atFirstContact(Answer().header("Content-Encoding", "gzip"))),
    ]

    @Test(arguments: survived, [1, 4]) func isSurvived(plan: Plan, connections: Int) async throws {
        try await expect(plan, connections: connections)
    }

    @Test(arguments: fatal, [1, 4]) func endsWithoutATable(plan: Plan, connections: Int) async throws {
        try await expect(plan, connections: connections)
    }

    @Test(arguments: refused) func endsBeforeTheFirstWrite(plan: Plan) async throws {
        try await expect(plan, connections: 1)
    }

    private func expect(_ plan: Plan, connections: Int) async throws {
        try await onThread {
            Self.places.wait()
            defer { Self.places.signal() }
            try run(plan, connections: connections)
        }
    }

    private func run(_ plan: Plan, connections: Int) throws {
        let image = try SampleImage.make()
        let count = Tally()
        let server = try FaultServer(image.bytes) { request in
            guard request.index > 0, let range = request.range, range.count > 4096 else { return plan.head(request) }
            return plan.answer(count.next(), range.lowerBound)
        }
        let arguments = [
            server.url(), "--yes", "-q", "--retry-timeout", "2.5", "--stall-timeout", "1", "--connections",
            "\(connections)",
        ]
        if case .whole = plan.outcome {
            return try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run(arguments + ["--disk", disk])
                #expect(ended.code == 0, "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
            }
        }
        try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
            let before = try sha256(of: disk)
            let ended = try Program.run(arguments + ["--disk", disk])
            switch plan.outcome {
            case .whole: break
            case .refused(let code):
                expectFailure(ended, code, says: plan.says + ["Nothing was written"])
                #expect(try sha256(of: disk) == before)
            case .stopped(let code):
                expectFailure(ended, code, says: plan.says + ["no partition table"])
                #expect(try tablesLeft(on: disk) == [])
            }
            // The retry time-out, a stall or two, and what a busy machine adds.
            #expect(ended.seconds < 20)
        }
    }
}
