import Synchronization

/// The one pass over an image whose server does no ranges: a thread keeps the first answer flowing into a bounded pipe.
final class SequentialBody: Sendable {
    private static let pipeBytes = 1 << 20

    private let pipe: BytePipe
    /// Why the transfer ended before the image did.
    private let failure = Monitor<SourceError?>(nil)
    private let endpoint: HTTPEndpoint
    private let stop = Cancellation()
    /// The image's byte that the pipe gives next.
    private let position = Monitor<UInt64>(0)
    /// Not a `Monitor`: a thread cannot be copied.
    private let thread: Mutex<WorkerThread?>

    /// - Parameter fetch: held (`HTTPFetch.isHeld`), and not used elsewhere any more.
    init(_ fetch: HTTPFetch, of endpoint: HTTPEndpoint, cancellation: Cancellation) throws(SourceError) {
        let (stop, failure) = (stop, failure)
        self.endpoint = endpoint
        do throws(SystemError) {
            let pipe = try BytePipe(capacityBytes: Self.pipeBytes)
            self.pipe = pipe
            let started = try WorkerThread(name: "fetch-whole") {
                do throws(SourceError) {
                    try cancellation.withHandler({ stop.cancel() }) { () throws(SourceError) in
                        try fetch.runOn(into: PipeSink(pipe), cancellation: stop)
                    }
                } catch {
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
                // SAFETY: copied while the span lives.
                unsafe bytes.withUnsafeBytes { unsafe head.append(contentsOf: $0) }
            }
            if taken == 0 { break }
        }
        position.withLock { $0 += UInt64(head.count) }
        return head
    }

    /// Passes over what lies before `range`, and delivers that.
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

    /// Waits for bytes, and shows 1 to `most` of them to `body`. Returns how many; 0 at the end of the image.
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

    /// Ends the transfer and waits for its thread.
    func close() {
        stop.cancel()
        pipe.stop()
        if let running = thread.withLock({ $0.take() }) { running.join() }
    }
}

/// A pipe as the end of a fetch.
private final class PipeSink: ByteSink {
    private let pipe: BytePipe
    init(_ pipe: BytePipe) { self.pipe = pipe }
    func append(_ bytes: RawSpan) throws(Stopped) { try pipe.append(bytes) }
}
