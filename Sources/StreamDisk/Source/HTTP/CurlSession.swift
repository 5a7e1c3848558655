import CCurl

/// A multi handle with its easy handles: concurrent transfers on one thread, and connections that are kept for later ones.
@safe
final class CurlSession: @unchecked Sendable {
    // SAFETY of Sendable: the code that has taken a session from the pool of `HTTPSource` is its only user, on one thread at a
    // time. Only `wake` is called from other threads, which libcurl permits (curl_multi_wakeup(3)).
    private let multi: UnsafeMutableRawPointer
    private var running: [CurlEasy] = []

    /// Nil if libcurl has no memory.
    init?() {
        guard Curl.isReady, let multi = unsafe curl_multi_init() else { return nil }
        unsafe self.multi = multi
    }

    deinit {
        for easy in running { unsafe curl_multi_remove_handle(multi, easy.handle) }
        unsafe curl_multi_cleanup(multi)
    }

    /// Adds a transfer. `perform` drives it.
    func start(_ request: HTTPRequest, receiver: any CurlReceiver) -> Result<CurlEasy, CurlRefusal> {
        let easy: CurlEasy
        do throws(CurlRefusal) { easy = try CurlEasy(request, receiver: receiver) } catch { return .failure(error) }
        guard unsafe curl_multi_add_handle(multi, easy.handle) == CURLM_OK else {
            return .failure(CurlRefusal(code: CURLE_FAILED_INIT))
        }
        running.append(easy)
        return .success(easy)
    }

    /// Removes a transfer, finished or not. An unfinished one loses its connection.
    func stop(_ easy: CurlEasy) {
        guard let index = running.firstIndex(where: { $0 === easy }) else { return }
        running.remove(at: index)
        unsafe curl_multi_remove_handle(multi, easy.handle)
    }

    func stopAll() {
        for easy in running { stop(easy) }
    }

    /// Resumes a transfer that its receiver paused. May call the receiver.
    func resume(_ easy: CurlEasy) { unsafe curl_easy_pause(easy.handle, CURLPAUSE_CONT) }

    /// Drives all transfers as far as possible without waiting. Returns those that ended, which the caller must stop.
    func perform() -> [(easy: CurlEasy, code: CURLcode)] {
        var count: Int32 = 0
        unsafe curl_multi_perform(multi, &count)
        var ended: [(CurlEasy, CURLcode)] = []
        // SAFETY: libcurl owns the message, which is valid until the next call; the needed parts are copied immediately.
        while let message = unsafe curl_multi_info_read(multi, &count) {
            guard unsafe message.pointee.msg == CURLMSG_DONE,
                let easy = running.first(where: { unsafe $0.handle == message.pointee.easy_handle })
            else { continue }
            unsafe ended.append((easy, cc_message_result(message)))
        }
        return ended
    }

    private static let probeSeconds = 1.0

    /// Whether a TLS handshake succeeds at a place that is meant to be plain, soon and with any certificate. Sends no request.
    /// Must not be called during a transfer.
    func speaksTLS(at place: HTTPAddress, cancellation: Cancellation) -> Bool {
        let seconds = Self.probeSeconds
        var request = HTTPRequest(url: "https" + place.origin.dropFirst("http".count), connectTimeoutSeconds: seconds)
        request.isProbe = true
        guard running.isEmpty, case .success(let easy) = start(request, receiver: NoReceiver()) else { return false }
        defer { stop(easy) }
        let deadline = Instant.after(seconds: seconds)
        while !cancellation.isCancelled, Instant.now < deadline {
            if let ended = perform().first(where: { $0.easy === easy }) { return ended.code == CURLE_OK }
            wait(seconds: deadline.seconds(since: .now))
        }
        return false
    }

    /// Waits until a transfer can continue, `wake` is called, or the given time has passed.
    func wait(seconds: Double) {
        // Rounded up: waiting for 0 ms would spin.
        let milliseconds = Int32(min(max(seconds * 1000, 0), 60_000)) + 1
        unsafe curl_multi_poll(multi, nil, 0, milliseconds, nil)
    }

    /// Ends the current or next `wait`. May be called from any thread.
    func wake() { unsafe curl_multi_wakeup(multi) }
}

/// Discards everything it receives.
private final class NoReceiver: CurlReceiver {
    func receiveHeader(_ line: RawSpan) -> Bool { false }
    func receiveBody(_ bytes: RawSpan) -> CurlReception { .abort }
}

/// libcurl refused a request.
struct CurlRefusal: Error {
    let code: CURLcode
    var reason: String { unsafe String(cString: curl_easy_strerror(code)) }
}
