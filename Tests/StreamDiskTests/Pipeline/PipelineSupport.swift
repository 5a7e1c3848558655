import Foundation
import Glibc
import Synchronization
import Testing

@testable import StreamDisk
@testable import TestSupport

/// Runs `body` on a thread of its own, and says whether it came back in time: a hang fails a test instead of stopping it.
func finishes(within seconds: Double = 60, _ body: @escaping @Sendable () -> Void) throws -> Bool {
    let done = Monitor(false)
    let thread = try WorkerThread(name: "test-body") {
        body()
        done.mutateAndNotify { $0 = true }
    }
    let finished = done.wait(until: .after(seconds: seconds)) { $0 ? true : nil } ?? false
    if finished { thread.join() }
    return finished
}

/// Several bodies at once, one thread each.
func together(within seconds: Double = 60, _ bodies: [@Sendable () -> Void]) throws -> Bool {
    let left = Monitor(bodies.count)
    for (index, body) in bodies.enumerated() {
        _ = try WorkerThread(name: "test-\(index)") {
            body()
            left.mutateAndNotify { $0 -= 1 }
        }
    }
    return left.wait(until: .after(seconds: seconds)) { $0 == 0 ? true : nil } ?? false
}

/// An image source in memory that delivers pieces of any size.
final class MemorySource: ByteSource {
    let name = "memory"
    private let bytes: [UInt8]
    private let random: Monitor<SplitMix64>
    private let endsAt: Int
    /// Called before each piece.
    private let onPiece: @Sendable (UInt64) throws(SourceError) -> Void

    /// - Parameter endsAt: where it stops without a word; nil for the end.
    init(
        _ bytes: [UInt8], seed: UInt64 = 0, endsAt: Int? = nil,
        onPiece: @escaping @Sendable (UInt64) throws(SourceError) -> Void = { (_) throws(SourceError) in }
    ) {
        self.bytes = bytes
        self.endsAt = endsAt ?? bytes.count
        random = Monitor(SplitMix64(state: seed))
        self.onPiece = onPiece
    }

    func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        ImageHead(bytes: Array(bytes.prefix(wantedBytes)), sizeBytes: UInt64(bytes.count), isSequential: false)
    }

    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        let all = bytes
        var at = Int(range.lowerBound)
        while at < Int(range.upperBound) {
            try onPiece(UInt64(at))
            if observer.cancellation.isCancelled { throw SourceError(.stopped, source: name, reason: "stopped") }
            let most = random.withLock { $0.magnitude(300_000) } + 1
            let count = min(most, min(endsAt, Int(range.upperBound)) - at)
            if count <= 0 { return }
            do throws(Stopped) {
                try unsafe sink.append(all.span.bytes.extracting(at..<at + count))
            } catch {
                throw SourceError(.stopped, source: name, reason: "stopped")
            }
            at += count
        }
    }

    func close() {}
}
