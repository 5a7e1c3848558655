import Synchronization
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("BytePipe: bytes from one thread to another")
struct BytePipeTests {
    private static let capacity = 2 * BytePipe.pieceBytesMax

    /// What happened on the two sides of a pipe.
    private final class Tally: Sendable {
        let appended = Atomic<Int>(0)
        let consumed = Atomic<Int>(0)
        let mostHeld = Atomic<Int>(0)
        let mismatches = Mutex<[String]>([])
        let isStopped = Mutex(false)

        func note(_ text: String) { mismatches.withLock { $0.append(text) } }
    }

    @Test("Pieces of any size come out as they went in, and no more than the capacity is held", arguments: 0..<24)
    func anySizes(seed: UInt64) throws {
        let total = 3_000_000 + Int(seed) * 12_345
        let bytes = sampleBytes(total, seed: seed)
        // A capacity that divides nothing makes pieces wrap at odd places.
        let capacity = Self.capacity + Int(seed % 3) * 4099
        let pipe = try BytePipe(capacityBytes: capacity)
        let tally = Tally()
        let finished = try together([
            {
                var random = SplitMix64(state: seed)
                var at = 0
                while at < total {
                    let count = min(total - at, random.magnitude(700_000))
                    do throws(Stopped) {
                        try unsafe pipe.append(bytes.span.bytes.extracting(at..<at + count))
                    } catch { tally.isStopped.withLock { $0 = true } }
                    at += count
                    let held =
                        tally.appended.add(count, ordering: .sequentiallyConsistent).newValue
                        - tally.consumed.load(ordering: .sequentiallyConsistent)
                    tally.mostHeld.max(held, ordering: .relaxed)
                }
                pipe.end()
            },
            {
                var random = SplitMix64(state: ~seed)
                var at = 0
                while at < total {
                    let wanted = random.magnitude(BytePipe.pieceBytesMax)
                    let expected = min(wanted, total - at)
                    do throws(PipeError<Never>) {
                        try pipe.peek(wanted) { piece in
                            if piece.byteCount != expected { tally.note("\(piece.byteCount) of \(expected) at \(at)") }
                            if !isSame(piece, bytes, at: at) { tally.note("other bytes at \(at)+\(expected)") }
                        }
                    } catch { tally.note("stopped at \(at)") }
                    // Not always all of what was shown.
                    let taken = Bool.random(using: &random) ? expected : random.magnitude(max(expected, 1))
                    tally.consumed.add(min(taken, expected), ordering: .sequentiallyConsistent)
                    pipe.consume(min(taken, expected))
                    at += min(taken, expected)
                }
            },
        ])
        #expect(finished, "seed \(seed): the two sides wait for each other")
        #expect(tally.mismatches.withLock { $0 } == [], "seed \(seed)")
        #expect(!tally.isStopped.withLock { $0 })
        #expect(tally.mostHeld.load(ordering: .relaxed) <= capacity, "seed \(seed)")
        #expect(pipe.filledBytes == 0)
    }

    @Test("It takes exactly its capacity without a reader, and not a byte more")
    func exactCapacity() throws {
        let pipe = try BytePipe(capacityBytes: Self.capacity)
        let bytes = sampleBytes(Self.capacity + 1)
        #expect(try finishes { try? pipe.append(unsafe bytes.span.bytes.extracting(0..<Self.capacity)) })
        #expect(pipe.filledBytes == Self.capacity)
        let tally = Tally()
        let writer = try WorkerThread(name: "test-writer") {
            do throws(Stopped) {
                try pipe.append(unsafe bytes.span.bytes.extracting(Self.capacity..<Self.capacity + 1))
                tally.appended.add(1, ordering: .relaxed)
            } catch { tally.isStopped.withLock { $0 = true } }
        }
        usleepMilliseconds(50)
        #expect(tally.appended.load(ordering: .relaxed) == 0)
        #expect(pipe.filledBytes == Self.capacity)
        // A quarter must be free before it is woken; a piece less than that does not.
        pipe.consume(Self.capacity / 4 - 1)
        usleepMilliseconds(50)
        #expect(tally.appended.load(ordering: .relaxed) == 0)
        pipe.consume(1)
        writer.join()
        #expect(tally.appended.load(ordering: .relaxed) == 1)
        #expect(pipe.filledBytes == Self.capacity * 3 / 4 + 1)
    }

    @Test("At the end a reader gets what is left, then nothing")
    func end() throws {
        let pipe = try BytePipe(capacityBytes: Self.capacity)
        try pipe.append(unsafe [UInt8](1...10).span.bytes)
        pipe.end()
        #expect(try pipe.peek(BytePipe.pieceBytesMax) { $0.byteCount } == 10)
        pipe.consume(7)
        #expect(try pipe.peek(BytePipe.pieceBytesMax) { $0.byteCount } == 3)
        pipe.consume(3)
        #expect(try pipe.peek(1) { $0.byteCount } == 0)
    }

    @Test("An end while the reader waits for more wakes it with what there is")
    func endWhileWaiting() throws {
        let pipe = try BytePipe(capacityBytes: Self.capacity)
        try pipe.append(unsafe [UInt8](1...10).span.bytes)
        let shown = Atomic<Int>(-1)
        let reader = try WorkerThread(name: "test-reader") {
            let count = try? pipe.peek(1000) { $0.byteCount }
            shown.store(count ?? -2, ordering: .sequentiallyConsistent)
        }
        usleepMilliseconds(30)
        #expect(shown.load(ordering: .sequentiallyConsistent) == -1)
        pipe.end()
        reader.join()
        #expect(shown.load(ordering: .sequentiallyConsistent) == 10)
    }

    @Test("A stop ends a wait on either side, and every later call", arguments: [true, false])
    func stop(readerWaits: Bool) throws {
        let pipe = try BytePipe(capacityBytes: Self.capacity)
        let ended = Mutex<String>("")
        let bytes = sampleBytes(Self.capacity + 1)
        let waiting = try WorkerThread(name: "test-waiting") {
            if readerWaits {
                do throws(PipeError<Never>) {
                    try pipe.peek(1) { _ in }
                } catch {
                    if case .stopped = error { ended.withLock { $0 = "stopped" } }
                }
            } else {
                do throws(Stopped) {
                    try pipe.append(unsafe bytes.span.bytes)
                } catch { ended.withLock { $0 = "stopped" } }
            }
        }
        usleepMilliseconds(30)
        #expect(ended.withLock { $0 } == "")
        pipe.stop()
        waiting.join()
        #expect(ended.withLock { $0 } == "stopped")
        #expect(throws: Stopped.self) { try pipe.append(unsafe bytes.span.bytes) }
        #expect(throws: (any Error).self) { try pipe.peek(1) { $0.byteCount } }
    }

    @Test("An error of the reader's own comes out as itself, and consumes nothing")
    func consumerError() throws {
        struct Mine: Error {}
        let pipe = try BytePipe(capacityBytes: Self.capacity)
        try pipe.append(unsafe [UInt8](1...10).span.bytes)
        do throws(PipeError<Mine>) {
            try pipe.peek(4) { (_: RawSpan) throws(Mine) in throw Mine() }
            Issue.record("no error")
        } catch {
            guard case .consumer = error else {
                Issue.record("\(error)")
                return
            }
        }
        #expect(pipe.filledBytes == 10)
    }
}
