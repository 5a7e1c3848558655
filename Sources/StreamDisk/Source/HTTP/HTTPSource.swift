/// An image on an HTTP or HTTPS server. Uses ranges if the server supports them, else a single pass.
package final class HTTPSource: ReadsAhead {
    private struct State {
        var head: [UInt8] = []
        var pin: HTTPValidator?
        var sequential: SequentialBody?
        /// Idle sessions with their connections.
        var idle: [CurlSession] = []
    }

    private let endpoint: HTTPEndpoint
    private let whole: ExpectedWhole?
    private let state = Monitor(State())

    /// Throws `.invalidReference` for a malformed URL or request header. Sends no request before `open`.
    package init(url: String, options: SourceOptions) throws(SourceError) {
        endpoint = try HTTPEndpoint(url: url, options: options)
        whole = nil
    }

    /// - Parameter whole: what all of it must be. Its size is looked at when it is opened; its digest only where everything is
    ///   read in order.
    init(_ endpoint: HTTPEndpoint, whole: ExpectedWhole) {
        (self.endpoint, self.whole) = (endpoint, whole)
    }

    deinit { close() }

    package var name: String { endpoint.name }

    package var earlyBytes: UInt64 { endpoint.earlyBytes.load(ordering: .relaxed) }

    package var isUnprotected: Bool { !endpoint.address.isSecure }

    package func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        let wanted = max(wantedBytes, 1)
        try endpoint.checkFiles()
        let session = try takeSession()
        let collector = CollectingSink(bytesMax: wanted)
        let fetch = HTTPFetch(
            0..<UInt64(wanted), of: endpoint, pin: nil, session: session, into: collector, report: observer.report)
        try fetch.run(cancellation: observer.cancellation)
        guard let pin = fetch.pin else { throw endpoint.error(.unreachable, "no answer was understood") }
        if let whole, let sizeBytes = pin.sizeBytes { try whole.check(sizeBytes: sizeBytes, of: endpoint) }

        guard fetch.isHeld else {
            let head = collector.bytes
            state.withLock { state in
                state.head = head
                state.pin = pin
                state.idle.append(session)
            }
            return ImageHead(
                bytes: head, sizeBytes: pin.sizeBytes, isSequential: false,
                readBufferBytes: HTTPFetch.bufferBytes(connections: endpoint.options.connections))
        }
        let body = try SequentialBody(fetch, of: endpoint, whole: whole, cancellation: observer.cancellation)
        let head = try body.takeHead(count: wanted, cancellation: observer.cancellation)
        // If the head contains the whole image, its bytes are in memory and can be read in any order.
        let isWhole = head.count < wanted || pin.sizeBytes == UInt64(head.count)
        if isWhole, whole != nil { try body.finish(cancellation: observer.cancellation) }
        state.withLock { state in
            state.head = head
            state.pin = pin
            state.sequential = body
        }
        return ImageHead(
            bytes: head, sizeBytes: pin.sizeBytes ?? (isWhole ? UInt64(head.count) : nil), isSequential: !isWhole)
    }

    package func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        _ = try read(range, into: sink, ahead: [], observer: observer)
    }

    func read(
        _ range: Range<UInt64>, into sink: any ByteSink, ahead others: [Range<UInt64>], observer: SourceObserver
    ) throws(SourceError) -> [KnownBytes] {
        let (head, pin, sequential) = state.withLock { ($0.head, $0.pin, $0.sequential) }
        guard let pin else { throw endpoint.error(.unreachable, "is not open", at: range.lowerBound) }
        if let sizeBytes = pin.sizeBytes, range.upperBound > sizeBytes {
            throw endpoint.error(
                .changed, "ends at byte \(sizeBytes), but byte \(range.upperBound - 1) is needed", at: sizeBytes)
        }
        var missing = range
        if range.lowerBound < UInt64(head.count), !range.isEmpty {
            let known = Int(range.lowerBound)..<min(head.count, Int(clamping: range.upperBound))
            // SAFETY: a UInt8 has no padding.
            do throws(Stopped) {
                try unsafe sink.append(head.span.extracting(known).bytes)
            } catch {
                throw endpoint.error(.stopped, "cancelled", at: range.lowerBound)
            }
            missing = UInt64(known.upperBound)..<range.upperBound
        }
        if missing.isEmpty { return [] }
        if let sequential {
            try sequential.read(missing, into: sink, cancellation: observer.cancellation)
            return []
        }
        let session = try takeSession()
        let fetch = HTTPFetch(
            missing, of: endpoint, pin: pin, session: session, into: sink, ahead: others, report: observer.report)
        defer { state.withLock { $0.idle.append(session) } }
        try fetch.run(cancellation: observer.cancellation)
        return fetch.known
    }

    package func checkWhole(observer: SourceObserver) throws(SourceError) {
        guard whole != nil, let sequential = state.withLock({ $0.sequential }) else { return }
        try sequential.finish(cancellation: observer.cancellation)
    }

    package func close() {
        // Ending a session closes its connections, so it must not happen under the lock.
        let (sessions, sequential) = state.withLock { state in
            defer { state.idle = [] }
            return (state.idle, state.sequential.take())
        }
        sequential?.close()
        withExtendedLifetime(sessions) {}
    }

    private func takeSession() throws(SourceError) -> CurlSession {
        if let session = state.withLock({ $0.idle.popLast() }) { return session }
        guard let session = CurlSession() else { throw endpoint.error(.unreachable, "libcurl cannot be used") }
        return session
    }
}
