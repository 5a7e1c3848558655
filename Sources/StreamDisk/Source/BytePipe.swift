/// A bounded queue of bytes between one thread that has them and one that wants them.
final class BytePipe: ByteSink {
    private struct State {
        var chunks: [[UInt8]] = []
        var queuedBytes = 0
        var isFinished = false
        var failure: SourceError?
        var isClosed = false
    }

    /// Enough to keep both sides busy; each chunk is what libcurl hands out, at most 16 KiB.
    static let capacityBytes = 1 << 20

    private let name: String
    private let monitor = Monitor(State())

    init(name: String) { self.name = name }

    /// Waits for room. Throws `.stopped` once the reader has closed the pipe.
    func append(_ bytes: RawSpan) throws(SourceError) {
        let isOpen = monitor.wait { state in
            if state.isClosed { return false }
            return state.queuedBytes < Self.capacityBytes ? true : nil
        }
        guard isOpen else { throw SourceError(.stopped, source: name, reason: "closed") }
        // SAFETY: copied while the span lives.
        let chunk = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
        monitor.update { state in
            state.chunks.append(chunk)
            state.queuedBytes += chunk.count
        }
    }

    /// No more bytes come: the end, or why there is none.
    func finish(_ failure: SourceError?) {
        monitor.update { state in
            state.isFinished = true
            state.failure = failure
        }
    }

    /// No more bytes are wanted.
    func close() {
        monitor.update { state in
            state.isClosed = true
            state.chunks = []
        }
    }

    /// Waits for bytes, and takes 1…`maxBytes` of them; nil at the end. Throws what the pipe was finished with, or
    /// `.stopped`.
    func take(maxBytes: Int, cancellation: Cancellation) throws(SourceError) -> [UInt8]? {
        try cancellation.withHandler({ [monitor] in monitor.update { _ in } }) { () throws(SourceError) in
            let result = monitor.wait { state in
                if cancellation.isCancelled || state.isClosed {
                    return Result<[UInt8]?, SourceError>.failure(
                        SourceError(.stopped, source: name, reason: "cancelled"))
                }
                if let first = state.chunks.first {
                    let taken = first.count <= maxBytes ? first : [UInt8](first[..<maxBytes])
                    if first.count <= maxBytes {
                        state.chunks.removeFirst()
                    } else {
                        state.chunks[0] = [UInt8](first[maxBytes...])
                    }
                    state.queuedBytes -= taken.count
                    return .success(taken)
                }
                if let failure = state.failure { return .failure(failure) }
                return state.isFinished ? .success(nil) : nil
            }
            // Room was made.
            monitor.update { _ in }
            return try result.get()
        }
    }
}
