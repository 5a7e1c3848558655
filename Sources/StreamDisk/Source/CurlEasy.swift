import CCurl

/// libcurl's process-wide part.
enum Curl {
    /// Initialises libcurl the first time it is asked (curl_global_init(3)); false when that fails.
    static let isReady = curl_global_init(Int(CURL_GLOBAL_SSL)) == CURLE_OK
}

/// One GET.
struct HTTPRequest {
    var url: String
    /// `0-99`; nil asks for the whole.
    var range: String?
    var headers: [String] = []
    var user: String?
    var password: String?
    var caFile: String?
    var clientCertificateFile: String?
    var clientKeyFile: String?
    var connectTimeoutSeconds: Double
    /// What libcurl reads from the connection at once (CURLOPT_BUFFERSIZE(3)).
    var receiveBufferBytes = 512 << 10
}

/// Takes what a transfer brings, on the thread that drives the session.
protocol CurlReceiver: AnyObject {
    /// One header line, with its line end. False aborts the transfer.
    func receiveHeader(_ line: RawSpan) -> Bool
    /// The next bytes of the body: at most 16 KiB at a time.
    func receiveBody(_ bytes: RawSpan) -> CurlReception
}

enum CurlReception {
    case taken
    case abort
    /// Not taken: the same bytes come again after `CurlSession.resume`.
    case pause
}

/// One easy handle. Not Sendable: belongs to its session.
@safe
final class CurlEasy {
    // SAFETY: made in init, freed in deinit. libcurl keeps `self` unretained as the context of its callbacks, which run
    // only inside calls that `CurlSession` makes while it holds a reference.
    let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    private var receiver: (any CurlReceiver)?

    /// Nil when libcurl has no memory.
    init?() {
        guard Curl.isReady, let handle = unsafe curl_easy_init() else { return nil }
        unsafe self.handle = handle
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(headers)
        unsafe errorText.deallocate()
    }

    /// Sets all options anew for `request`. Connections and TLS sessions live in the multi handle and stay.
    ///
    /// Returns the first option's code that libcurl refused, CURLE_OK when none was.
    func prepare(_ request: HTTPRequest, receiver: any CurlReceiver) -> CURLcode {
        unsafe curl_easy_reset(handle)
        self.receiver = receiver
        unsafe errorText.pointee = 0
        var first = CURLE_OK
        func check(_ code: CURLcode) {
            if first == CURLE_OK { first = code }
        }
        func set(_ option: CURLoption, _ value: Int) { unsafe check(cc_set_long(handle, option, value)) }
        func set(_ option: CURLoption, _ value: String?) {
            if let value { unsafe check(cc_set_string(handle, option, value)) }
        }

        set(CURLOPT_URL, request.url)
        set(CURLOPT_RANGE, request.range)
        set(CURLOPT_USERAGENT, "stream-disk/" + ProductVersion.current)
        set(CURLOPT_USERNAME, request.user)
        set(CURLOPT_PASSWORD, request.password)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        // One TCP connection per range: streams of one HTTP/2 connection share a window, and one that is held back (the
        // disk is slow) holds back the others. Servers that limit each connection are no faster with HTTP/2 either.
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // Redirects are followed by `HTTPFetch`, which knows what must not be sent elsewhere.
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // No signals in a library. (libcurl sends with MSG_NOSIGNAL.)
        set(CURLOPT_NOSIGNAL, 1)
        // A hanging name server must not hold up a run that was cancelled.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_BUFFERSIZE, request.receiveBufferBytes)
        set(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(request.connectTimeoutSeconds * 1000)))

        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let caFile = request.caFile {
            for (file, folder) in [(CURLOPT_CAINFO, CURLOPT_CAPATH), (CURLOPT_PROXY_CAINFO, CURLOPT_PROXY_CAPATH)] {
                set(file, caFile)
                // Instead of the system's authorities, not beside them.
                unsafe check(cc_set_string(handle, folder, nil))
            }
        }
        set(CURLOPT_SSLCERT, request.clientCertificateFile)
        set(CURLOPT_SSLKEY, request.clientKeyFile)

        unsafe curl_slist_free_all(headers)
        unsafe headers = nil
        for header in request.headers {
            guard let longer = unsafe curl_slist_append(headers, header) else { return CURLE_OUT_OF_MEMORY }
            unsafe headers = longer
        }
        unsafe check(cc_set_list(handle, CURLOPT_HTTPHEADER, headers))
        unsafe check(cc_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText))
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe check(cc_set_pointer(handle, CURLOPT_HEADERDATA, context))
        unsafe check(cc_set_pointer(handle, CURLOPT_WRITEDATA, context))
        unsafe check(
            cc_set_callback(handle, CURLOPT_HEADERFUNCTION) { data, size, count, context in
                unsafe CurlEasy.received(data, size * count, context) { receiver, bytes in
                    receiver.receiveHeader(bytes) ? bytes.byteCount : -1
                }
            })
        unsafe check(
            cc_set_callback(handle, CURLOPT_WRITEFUNCTION) { data, size, count, context in
                unsafe CurlEasy.received(data, size * count, context) { receiver, bytes in
                    switch receiver.receiveBody(bytes) {
                    case .taken: bytes.byteCount
                    case .abort: -1
                    case .pause: Int(CURL_WRITEFUNC_PAUSE)
                    }
                }
            })
        return first
    }

    /// Forgets the receiver of a transfer that ended.
    func release() { receiver = nil }

    /// libcurl's words for how the last transfer ended with `code`.
    func reason(for code: CURLcode) -> String {
        // SAFETY: libcurl ends what it writes there with a NUL, within CURL_ERROR_SIZE.
        let text = unsafe String(cString: errorText)
        return text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
    }

    /// Where the answer redirects to, made absolute by libcurl.
    var redirectURL: String? {
        var text: UnsafeMutablePointer<CChar>?
        // SAFETY: the string is libcurl's and lives until the handle's next use; it is copied here.
        guard unsafe cc_get_string(handle, CURLINFO_REDIRECT_URL, &text) == CURLE_OK, let text = unsafe text
        else { return nil }
        return unsafe String(cString: text)
    }

    /// The status with which a proxy answered CONNECT; 0 when none did.
    var proxyStatus: Int {
        var status = 0
        return unsafe cc_get_long(handle, CURLINFO_HTTP_CONNECTCODE, &status) == CURLE_OK ? status : 0
    }

    /// The common part of the two callbacks: a result below 0 becomes a count that libcurl takes for an error.
    private static func received(
        _ data: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?,
        _ body: (any CurlReceiver, RawSpan) -> Int
    ) -> Int {
        // SAFETY: the context is the easy handle's owner, alive while libcurl calls; `data` holds `count` bytes for the
        // time of this call, and the span does not outlive it.
        guard let context = unsafe context,
            let receiver = unsafe Unmanaged<CurlEasy>.fromOpaque(context).takeUnretainedValue().receiver
        else { return count + 1 }
        let result = unsafe body(receiver, UnsafeRawBufferPointer(start: data, count: count).bytes)
        return result < 0 ? count + 1 : result
    }
}
