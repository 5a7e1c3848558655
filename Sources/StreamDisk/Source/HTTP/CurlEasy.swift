import CCurl
import Glibc

/// libcurl's process-wide part.
enum Curl {
    /// Initialises libcurl on first use (curl_global_init(3)); false if that fails.
    static let isReady = curl_global_init(Int(CURL_GLOBAL_SSL)) == CURLE_OK
}

/// One GET.
struct HTTPRequest {
    var url: String
    /// Such as `0-99`; nil requests all of the image.
    var range: String?
    var headers: [String] = []
    var user: String?
    var password: String?
    /// If set, replaces user and password.
    var authorization: HTTPAuthorization?
    var caFile: String?
    var clientCertificateFile: String?
    var clientKeyFile: String?
    var connectTimeoutSeconds: Double
    /// How much libcurl reads from the connection at a time (CURLOPT_BUFFERSIZE(3)).
    var receiveBufferBytes = 512 << 10
    /// Resolves the name again instead of using the cache: the address may have changed.
    var resolvesAnew = false
    /// Uses a new connection and closes it afterwards, so that kept connections stay as they are.
    var usesOwnConnection = false
    /// Only connects (with TLS for an https URL, accepting any certificate), and sends no request.
    var isProbe = false
}

/// Receives the data of a transfer, on the thread that drives the session.
protocol CurlReceiver: AnyObject {
    /// One header line, including its line end. Returning false aborts the transfer.
    func receiveHeader(_ line: RawSpan) -> Bool
    /// The next bytes of the body, 16 KiB at most.
    func receiveBody(_ bytes: RawSpan) -> CurlReception
}

enum CurlReception {
    case taken
    case abort
    /// Not taken: the same bytes are delivered again after `CurlSession.resume`.
    case pause
}

/// The easy handle of one transfer, created and destroyed with it. The multi handle keeps connections and resolved names.
///
/// It is not reused: a handle whose transfer never connected keeps its buffer, and libcurl 7.88 then refuses
/// CURLOPT_BUFFERSIZE. Not Sendable: it belongs to its session.
@safe
final class CurlEasy {
    // SAFETY: made in init, freed in deinit. libcurl keeps `self` unretained as the context of its callbacks, which run only
    // inside calls that `CurlSession` makes while it holds a reference.
    let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    private let receiver: any CurlReceiver

    /// Throws the first error code with which libcurl refuses an option.
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

    /// Returns the error code of the first option that libcurl refused; CURLE_OK if it accepted all.
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
        // One TCP connection per range: the streams of an HTTP/2 connection share a window, so one that is paused (because the
        // disk is slow) holds up the others. Nor does HTTP/2 help with servers that limit each connection.
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // `HTTPFetch` follows redirects itself: it knows what must not be sent to another origin.
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // A response that is not HTTP arrives as a body without a header; `HTTPSegment` identifies it.
        set(CURLOPT_HTTP09_ALLOWED, 1)
        if request.resolvesAnew { set(CURLOPT_DNS_CACHE_TIMEOUT, 0) }
        if request.isProbe { set(CURLOPT_CONNECT_ONLY, 1) }
        if request.usesOwnConnection {
            set(CURLOPT_FRESH_CONNECT, 1)
            set(CURLOPT_FORBID_REUSE, 1)
        }
        // A library must not use signals. (libcurl sends with MSG_NOSIGNAL.)
        set(CURLOPT_NOSIGNAL, 1)
        // A name server that does not answer must not delay a cancelled run.
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
                // Replaces the system's authorities.
                unsafe check(cc_set_string(handle, folder, nil))
            }
        }
        set(CURLOPT_SSLCERT, request.clientCertificateFile)
        set(CURLOPT_SSLKEY, request.clientKeyFile)
        // Refuses an encrypted key; otherwise OpenSSL would ask for its passphrase on the terminal.
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

    /// libcurl's description of how the last transfer ended with `code`.
    func reason(for code: CURLcode) -> String {
        // SAFETY: libcurl terminates what it writes there with a NUL, within CURL_ERROR_SIZE.
        let text = unsafe String(cString: errorText)
        return text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
    }

    /// The target of a redirect, made absolute by libcurl. Bytes beyond ASCII are percent-encoded as they are.
    var redirectURL: String? {
        var text: UnsafeMutablePointer<CChar>?
        // SAFETY: libcurl owns the string, which is valid until the handle is next used; it is copied here.
        guard unsafe cc_get_string(handle, CURLINFO_REDIRECT_URL, &text) == CURLE_OK, let text = unsafe text
        else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).bytes
        return latin1(bytes).unicodeScalars.reduce(into: "") { url, scalar in
            url += scalar.isASCII ? String(scalar) : "%" + String(scalar.value, radix: 16)
        }
    }

    /// The status with which a proxy answered CONNECT; 0 if none did.
    var proxyStatus: Int {
        var status = 0
        return unsafe cc_get_long(handle, CURLINFO_HTTP_CONNECTCODE, &status) == CURLE_OK ? status : 0
    }

    /// The part that both callbacks share: a result below 0 becomes a count that libcurl treats as an error.
    private static func received(
        _ data: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?,
        _ body: (any CurlReceiver, RawSpan) -> Int
    ) -> Int {
        // SAFETY: the context is the easy handle's owner, which is alive while libcurl calls. `data` holds `count` bytes during
        // this call, and the span does not outlive it.
        guard let context = unsafe context else { return count + 1 }
        let receiver = unsafe Unmanaged<CurlEasy>.fromOpaque(context).takeUnretainedValue().receiver
        let result = unsafe body(receiver, UnsafeRawBufferPointer(start: data, count: count).bytes)
        return result < 0 ? count + 1 : result
    }
}
