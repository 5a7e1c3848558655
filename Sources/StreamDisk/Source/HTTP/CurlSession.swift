import CCurl

/// A multi handle with its easy handles: transfers that run side by side on one thread, and the connections kept alive
/// for the next ones.
@safe
final class CurlSession: @unchecked Sendable {
    // SAFETY of Sendable: whoever has taken a session (from the pool of `HTTPSource`) is alone with it, on one thread at
    // a time. Only `wake` is called from other threads, which libcurl permits (curl_multi_wakeup(3)).
    private let multi: UnsafeMutableRawPointer
    private var running: [CurlEasy] = []

    /// Nil when libcurl has no memory.
    init?() {
        guard Curl.isReady, let multi = unsafe curl_multi_init() else { return nil }
        unsafe self.multi = multi
    }

    deinit {
        for easy in running { unsafe curl_multi_remove_handle(multi, easy.handle) }
        unsafe curl_multi_cleanup(multi)
    }

    /// Begins a transfer; `perform` moves it on.
    func start(_ request: HTTPRequest, receiver: any CurlReceiver) -> Result<CurlEasy, CurlRefusal> {
        let easy: CurlEasy
        do throws(CurlRefusal) { easy = try CurlEasy(request, receiver: receiver) } catch { return .failure(error) }
        guard unsafe curl_multi_add_handle(multi, easy.handle) == CURLM_OK else {
            return .failure(CurlRefusal(code: CURLE_FAILED_INIT))
        }
        running.append(easy)
        return .success(easy)
    }

    /// Ends a transfer, finished or not; an unfinished one costs its connection.
    func stop(_ easy: CurlEasy) {
        guard let index = running.firstIndex(where: { $0 === easy }) else { return }
        running.remove(at: index)
        unsafe curl_multi_remove_handle(multi, easy.handle)
    }

    func stopAll() {
        for easy in running { stop(easy) }
    }

    /// Lets a transfer go on that its receiver paused. The receiver may be called from here.
    func resume(_ easy: CurlEasy) { unsafe curl_easy_pause(easy.handle, CURLPAUSE_CONT) }

    /// Moves all transfers on as far as they go without waiting, and returns those that ended. They must be stopped.
    func perform() -> [(easy: CurlEasy, code: CURLcode)] {
        var count: Int32 = 0
        unsafe curl_multi_perform(multi, &count)
        var ended: [(CurlEasy, CURLcode)] = []
        // SAFETY: a message is libcurl's, and valid until the next call; what is needed of it is copied at once.
        while let message = unsafe curl_multi_info_read(multi, &count) {
            guard unsafe message.pointee.msg == CURLMSG_DONE,
                let easy = running.first(where: { unsafe $0.handle == message.pointee.easy_handle })
            else { continue }
            unsafe ended.append((easy, cc_message_result(message)))
        }
        return ended
    }

    /// Whether a TLS handshake succeeds at the https URL `url` within so many seconds, with whatever certificate. Nothing is
    /// asked there. To be called while no transfer runs.
    func speaksTLS(at url: String, withinSeconds seconds: Double, cancellation: Cancellation) -> Bool {
        var request = HTTPRequest(url: url, connectTimeoutSeconds: seconds)
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

    /// Waits until a transfer can go on, `wake` is called, or so many seconds have passed.
    func wait(seconds: Double) {
        // Rounded up: a wait of 0 ms would spin.
        let milliseconds = Int32(min(max(seconds * 1000, 0), 60_000)) + 1
        unsafe curl_multi_poll(multi, nil, 0, milliseconds, nil)
    }

    /// Ends a `wait`, now or the next one. From any thread.
    func wake() { unsafe curl_multi_wakeup(multi) }
}

/// Wants nothing of what comes.
private final class NoReceiver: CurlReceiver {
    func receiveHeader(_ line: RawSpan) -> Bool { false }
    func receiveBody(_ bytes: RawSpan) -> CurlReception { .abort }
}

/// libcurl did not take a request.
struct CurlRefusal: Error {
    let code: CURLcode
    var reason: String { unsafe String(cString: curl_easy_strerror(code)) }
}
