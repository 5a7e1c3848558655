import Synchronization

/// A single pass over an image whose server does not support ranges: a thread reads the first response into a bounded pipe.
final class SequentialBody: Sendable {
    private static let pipeBytes = 1 << 20

    private let pipe: BytePipe
    /// Why the transfer ended before the image did.
    private let failure = Monitor<SourceError?>(nil)
    private let endpoint: HTTPEndpoint
    private let stop = Cancellation()
    /// The image offset of the next byte in the pipe.
    private let position = Monitor<UInt64>(0)
    /// Not a `Monitor`, since a thread cannot be copied.
    private let thread: Mutex<WorkerThread?>

    /// - Parameters:
    ///   - fetch: held (`HTTPFetch.isHeld`), and not used elsewhere any more.
    ///   - whole: the expected size and hash of the whole image; a difference is the error at the end.
    init(
        _ fetch: HTTPFetch, of endpoint: HTTPEndpoint, whole: ExpectedWhole?, cancellation: Cancellation
    ) throws(SourceError) {
        let (stop, failure) = (stop, failure)
        self.endpoint = endpoint
        do throws(SystemError) {
            let pipe = try BytePipe(capacityBytes: Self.pipeBytes)
            self.pipe = pipe
            let started = try WorkerThread(name: "fetch-whole") {
                let sink = PipeSink(pipe, whole: whole)
                do throws(SourceError) {
                    try cancellation.withHandler({ stop.cancel() }) { () throws(SourceError) in
                        try fetch.runOn(into: sink, cancellation: stop)
                    }
                    try sink.checkWhole(of: endpoint)
                } catch {
                    let error = sink.isTooLong ? ExpectedWhole.tooLong(endpoint) : error
                    failure.withLock { $0 = error }
                }
                pipe.end()
            }
            thread = Mutex(started)
        } catch {
            throw endpoint.error(.unreachable, "cannot be read in one pass: \(error)")
        }
    }

    deinit { close() }

    /// The next `count` bytes; fewer at the end of the image.
    func takeHead(count: Int, cancellation: Cancellation) throws(SourceError) -> [UInt8] {
        var head: [UInt8] = []
        while head.count < count {
            let taken = try take(atMost: count - head.count, cancellation) { bytes in
                // SAFETY: copied while the span is valid.
                unsafe bytes.withUnsafeBytes { unsafe head.append(contentsOf: $0) }
            }
            if taken == 0 { break }
        }
        position.withLock { $0 += UInt64(head.count) }
        return head
    }

    /// Skips the bytes before `range` and delivers those of `range`.
    func read(_ range: Range<UInt64>, into sink: any ByteSink, cancellation: Cancellation) throws(SourceError) {
        var next = position.withLock { $0 }
        guard range.lowerBound >= next else {
            throw endpoint.error(
                .unsupported, "the server does not serve ranges, and byte \(range.lowerBound) has passed already",
                at: next)
        }
        while next < range.upperBound {
            let end = next < range.lowerBound ? range.lowerBound : range.upperBound
            let isWanted = next >= range.lowerBound
            let taken = try take(atMost: Int(clamping: end - next), cancellation) { bytes throws(Stopped) in
                if isWanted { try sink.append(bytes) }
            }
            guard taken > 0 else {
                throw SourceError(
                    .changed, source: endpoint.name,
                    reason: "ends at byte \(next), but byte \(range.upperBound - 1) is needed", offset: next, isEnd: true)
            }
            next += UInt64(taken)
            position.withLock { $0 = next }
        }
    }

    /// Waits for bytes and passes 1 to `most` of them to `body`. Returns their number; 0 at the end of the image.
    private func take(
        atMost most: Int, _ cancellation: Cancellation, _ body: (RawSpan) throws(Stopped) -> Void
    ) throws(SourceError) -> Int {
        let pipe = pipe
        let taken: Int
        do throws(PipeError<Stopped>) {
            taken = try cancellation.withHandler({ pipe.stop() }) { () throws(PipeError<Stopped>) in
                try pipe.peek(atLeast: 1, atMost: min(most, BytePipe.pieceBytesMax)) { bytes throws(Stopped) in
                    if bytes.byteCount > 0 { try body(bytes) }
                    return bytes.byteCount
                }
            }
        } catch {
            throw endpoint.error(.stopped, "cancelled", at: position.withLock { $0 })
        }
        pipe.consume(taken)
        if taken == 0, let failure = failure.withLock({ $0 }) { throw failure }
        return taken
    }

    /// Reads the rest without delivering it, and throws if the whole is not as expected.
    func finish(cancellation: Cancellation) throws(SourceError) {
        while true {
            let taken = try take(atMost: BytePipe.pieceBytesMax, cancellation) { (_) throws(Stopped) in }
            if taken == 0 { return }
            position.withLock { $0 += UInt64(taken) }
        }
    }

    /// Ends the transfer and waits for its thread.
    func close() {
        stop.cancel()
        pipe.stop()
        if let running = thread.withLock({ $0.take() }) { running.join() }
    }
}

/// A pipe as the sink of a fetch. Hashes the bytes if a hash of the whole is expected.
private final class PipeSink: ByteSink, @unchecked Sendable {
    // SAFETY of Sendable: used by the fetch's thread only.
    private let pipe: BytePipe
    private let whole: ExpectedWhole?
    private var digest = MessageDigest(.sha256)
    private var countBytes: UInt64 = 0
    /// Whether more bytes arrived than expected.
    private(set) var isTooLong = false

    init(_ pipe: BytePipe, whole: ExpectedWhole?) { (self.pipe, self.whole) = (pipe, whole) }

    func append(_ bytes: RawSpan) throws(Stopped) {
        if let whole {
            countBytes += UInt64(bytes.byteCount)
            isTooLong = countBytes > whole.sizeBytes
            if isTooLong { throw Stopped() }
            digest.update(bytes)
        }
        try pipe.append(bytes)
    }

    func checkWhole(of endpoint: HTTPEndpoint) throws(SourceError) {
        guard let whole else { return }
        try whole.check(sizeBytes: countBytes, of: endpoint)
        try whole.check(sha256: digest.finish(), of: endpoint)
    }
}
