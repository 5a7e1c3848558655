import CCurl
import Glibc

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
    /// Instead of these two.
    var authorization: HTTPAuthorization?
    var caFile: String?
    var clientCertificateFile: String?
    var clientKeyFile: String?
    var connectTimeoutSeconds: Double
    /// What libcurl reads from the connection at once (CURLOPT_BUFFERSIZE(3)).
    var receiveBufferBytes = 512 << 10
    /// Asks the resolver again, whatever it said before: the name may have moved.
    var resolvesAnew = false
    /// A new connection, closed behind it: those that are kept stay as they are.
    var usesOwnConnection = false
    /// Connects, with TLS where the URL says so and to whoever answers, and asks nothing.
    var isProbe = false
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

/// One transfer's easy handle: made for it and gone with it. Connections and names that were resolved live in the multi handle.
///
/// Not used again: a handle whose transfer never got as far as a connection keeps its buffer, and libcurl 7.88 refuses
/// CURLOPT_BUFFERSIZE from then on. Not Sendable: belongs to its session.
@safe
final class CurlEasy {
    // SAFETY: made in init, freed in deinit. libcurl keeps `self` unretained as the context of its callbacks, which run
    // only inside calls that `CurlSession` makes while it holds a reference.
    let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    private let receiver: any CurlReceiver

    /// Throws the first code with which libcurl refuses an option.
    init(_ request: HTTPRequest, receiver: any CurlReceiver) throws(CurlRefusal) {
        guard Curl.isReady, let handle = unsafe curl_easy_init() else { throw CurlRefusal(code: CURLE_OUT_OF_MEMORY) }
        unsafe self.handle = handle
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        self.receiver = receiver
        let code = setOptions(request)
        guard code == CURLE_OK else { throw CurlRefusal(code: code) }
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(headers)
        unsafe errorText.deallocate()
    }

    /// Returns the first option's code that libcurl refused, CURLE_OK when none was.
    private func setOptions(_ request: HTTPRequest) -> CURLcode {
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
        var headers = request.headers
        switch request.authorization {
        case .basic(let user, let password):
            set(CURLOPT_USERNAME, user)
            set(CURLOPT_PASSWORD, password)
        case .bearer(let token): headers.append("Authorization: Bearer " + token)
        case nil:
            set(CURLOPT_USERNAME, request.user)
            set(CURLOPT_PASSWORD, request.password)
        }
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        // One TCP connection per range: streams of one HTTP/2 connection share a window, and one that is held back (the
        // disk is slow) holds back the others. Servers that limit each connection are no faster with HTTP/2 either.
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // Redirects are followed by `HTTPFetch`, which knows what must not be sent elsewhere.
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // What is no HTTP comes as a body without a header, and `HTTPSegment` sees what it is.
        set(CURLOPT_HTTP09_ALLOWED, 1)
        if request.resolvesAnew { set(CURLOPT_DNS_CACHE_TIMEOUT, 0) }
        if request.isProbe { set(CURLOPT_CONNECT_ONLY, 1) }
        if request.usesOwnConnection {
            set(CURLOPT_FRESH_CONNECT, 1)
            set(CURLOPT_FORBID_REUSE, 1)
        }
        // No signals in a library. (libcurl sends with MSG_NOSIGNAL.)
        set(CURLOPT_NOSIGNAL, 1)
        // A hanging name server must not hold up a run that was cancelled.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_BUFFERSIZE, request.receiveBufferBytes)
        set(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(request.connectTimeoutSeconds * 1000)))

        set(CURLOPT_SSL_VERIFYPEER, request.isProbe ? 0 : 1)
        set(CURLOPT_SSL_VERIFYHOST, request.isProbe ? 0 : 2)
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
        // An encrypted key is refused; without this OpenSSL would ask the terminal for its pass phrase.
        if request.clientCertificateFile != nil { set(CURLOPT_KEYPASSWD, "") }

        for header in headers {
            guard let longer = unsafe curl_slist_append(self.headers, header) else { return CURLE_OUT_OF_MEMORY }
            unsafe self.headers = longer
        }
        unsafe check(cc_set_list(handle, CURLOPT_HTTPHEADER, self.headers))
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

    /// libcurl's words for how the last transfer ended with `code`.
    func reason(for code: CURLcode) -> String {
        // SAFETY: libcurl ends what it writes there with a NUL, within CURL_ERROR_SIZE.
        let text = unsafe String(cString: errorText)
        return text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
    }

    /// Where the answer redirects to, made absolute by libcurl; bytes beyond ASCII are percent-encoded, whatever they stand for.
    var redirectURL: String? {
        var text: UnsafeMutablePointer<CChar>?
        // SAFETY: the string is libcurl's and lives until the handle's next use; it is copied here.
        guard unsafe cc_get_string(handle, CURLINFO_REDIRECT_URL, &text) == CURLE_OK, let text = unsafe text
        else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).bytes
        return latin1(bytes).unicodeScalars.reduce(into: "") { url, scalar in
            url += scalar.isASCII ? String(scalar) : "%" + String(scalar.value, radix: 16)
        }
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
        guard let context = unsafe context else { return count + 1 }
        let receiver = unsafe Unmanaged<CurlEasy>.fromOpaque(context).takeUnretainedValue().receiver
        let result = unsafe body(receiver, UnsafeRawBufferPointer(start: data, count: count).bytes)
        return result < 0 ? count + 1 : result
    }
}
