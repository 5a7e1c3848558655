import Foundation
import Glibc
import Synchronization
import Testing

@testable import StreamDisk

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

extension SplitMix64 {
    mutating func bytes(_ count: Int) -> [UInt8] { sampleBytes(count, seed: next()) }

    /// Between 0 and `limit`, all magnitudes alike.
    mutating func magnitude(_ limit: Int) -> Int {
        let bits = Int.random(in: 0...Int.bitWidth - limit.leadingZeroBitCount, using: &self)
        return Int.random(in: 0...min(limit, (1 << bits) - 1), using: &self)
    }
}

/// Bytes that a compressor finds much to say about: literals, matches near and very far, runs.
func richBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix64(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 70_000)
    while bytes.count < count {
        switch Int.random(in: 0..<10, using: &random) {
        case 0...2: bytes += random.bytes(1 + random.magnitude(4000))
        case 3: bytes += [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: random.magnitude(60_000))
        default:
            guard !bytes.isEmpty else { continue }
            // Any distance up to the beginning: the window's far edge is where the mistakes are.
            let distance = 1 + (Bool.random(using: &random)
                ? random.magnitude(bytes.count - 1) : Int.random(in: 0..<bytes.count, using: &random))
            let start = bytes.count - distance
            // A copy of its own: a slice would make the array copy all of itself.
            bytes += Array(bytes[start..<min(bytes.count, start + 4 + random.magnitude(20_000))])
        }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
}

/// zstd(1) over bytes: from a file, which puts the content's size into the frame, or from a pipe, which does not.
func zstd(_ arguments: String, _ bytes: [UInt8], throughPipe: Bool = false) throws -> [UInt8] {
    try withTemporaryFolder { folder in
        try Data(bytes).write(to: folder.appending(path: "in"))
        let input = throughPipe ? "cat in | zstd" : "zstd in"
        let command = "cd '\(folder.path)' && \(input) -q -c \(arguments) > out"
        try run("sh", ["-c", command])
        return [UInt8](try Data(contentsOf: folder.appending(path: "out")))
    }
}

/// A skippable frame (RFC 8878 §3.1.2).
func skippableFrame(_ content: [UInt8], magic: UInt8 = 0x50) -> [UInt8] {
    let size = UInt32(content.count)
    return [magic, 0x2a, 0x4d, 0x18] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + content
}

/// An image source in memory that delivers pieces of any size.
final class MemorySource: ImageSource {
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

/// Whether `piece` is what `bytes` holds at `offset`.
func isSame(_ piece: RawSpan, _ bytes: [UInt8], at offset: Int) -> Bool {
    guard offset >= 0, piece.byteCount <= bytes.count - offset else { return false }
    if piece.byteCount == 0 { return true }
    // SAFETY: both areas were checked to hold so many bytes, and live to the end of the closures.
    return unsafe piece.withUnsafeBytes { one in
        unsafe bytes.withUnsafeBytes { two in
            guard let left = one.baseAddress, let right = two.baseAddress else { return false }
            return unsafe memcmp(left, right + offset, one.count) == 0
        }
    }
}

func usleepMilliseconds(_ milliseconds: UInt32) { usleep(milliseconds * 1000) }
