import Synchronization

/// The one pass over an image whose server does no ranges: a thread keeps the first answer flowing into a bounded pipe.
final class SequentialBody: Sendable {
    private let pipe: BytePipe
    private let endpoint: HTTPEndpoint
    private let stop = Cancellation()
    /// The image's byte that the pipe gives next.
    private let position = Monitor<UInt64>(0)
    /// Not a `Monitor`: a thread cannot be copied.
    private let thread: Mutex<WorkerThread?>

    /// - Parameter fetch: held (`HTTPFetch.isHeld`), and not used elsewhere any more.
    init(_ fetch: HTTPFetch, of endpoint: HTTPEndpoint, cancellation: Cancellation) throws(SourceError) {
        let pipe = BytePipe(name: endpoint.name)
        let stop = stop
        self.pipe = pipe
        self.endpoint = endpoint
        do throws(SystemError) {
            let started = try WorkerThread(name: "fetch-whole") {
                do throws(SourceError) {
                    try cancellation.withHandler({ stop.cancel() }) { () throws(SourceError) in
                        try fetch.runOn(into: pipe, cancellation: stop)
                    }
                    pipe.finish(nil)
                } catch {
                    pipe.finish(error)
                }
            }
            thread = Mutex(started)
        } catch {
            throw endpoint.error(.unreachable, "no thread could be started: \(error)")
        }
    }

    deinit { close() }

    /// The next `count` bytes; fewer at the end of the image.
    func takeHead(count: Int, cancellation: Cancellation) throws(SourceError) -> [UInt8] {
        var head: [UInt8] = []
        while head.count < count {
            guard let bytes = try pipe.take(maxBytes: count - head.count, cancellation: cancellation) else { break }
            head += bytes
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
            let most = Int(min(end - next, UInt64(BytePipe.capacityBytes)))
            guard let bytes = try pipe.take(maxBytes: most, cancellation: cancellation) else {
                throw endpoint.error(
                    .changed, "ends at byte \(next), but byte \(range.upperBound - 1) is needed", at: next)
            }
            // SAFETY: a UInt8 has no padding.
            if next >= range.lowerBound { try unsafe sink.append(bytes.span.bytes) }
            next += UInt64(bytes.count)
            position.withLock { $0 = next }
        }
    }

    /// Ends the transfer and waits for its thread.
    func close() {
        stop.cancel()
        pipe.close()
        if let running = thread.withLock({ $0.take() }) { running.join() }
    }
}
