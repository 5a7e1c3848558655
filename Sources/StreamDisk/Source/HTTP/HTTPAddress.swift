import CCurl
import CosiFormat

/// A parsed http or https URL: the request URL, its origin, its credentials, and its name for messages.
struct HTTPAddress: Equatable, Sendable {
    /// The URL to request, without credentials and fragment.
    let url: String
    /// Without credentials, query and fragment, which may contain secrets. Shortened and escaped for messages: a URL from a
    /// server may be long, and contain characters that control a terminal.
    let name: String
    /// Scheme, host and port, in lower case. The port is always included.
    let origin: String
    /// In lower case; an IPv6 address in brackets.
    let host: String
    let isSecure: Bool
    /// Decoded; nil if the URL has none.
    let user: String?
    let password: String?

    private static let nameScalarsMax = 500

    /// Nil if `text` is not a URL with the scheme http or https.
    ///
    /// - Parameter isRedirect: accepts what servers send in `Location`: spaces and bytes beyond ASCII are encoded.
    init?(_ text: String, isRedirect: Bool = false) {
        // SAFETY: the handle is freed at the end of this init, its only user.
        guard !text.utf8.contains(0), let parts = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(parts) }
        let flags = isRedirect ? UInt32(CURLU_URLENCODE) : 0
        guard unsafe curl_url_set(parts, CURLUPART_URL, text, flags) == CURLUE_OK,
            let scheme = unsafe Self.part(parts, CURLUPART_SCHEME)?.lowercased(),
            scheme == "http" || scheme == "https",
            let host = unsafe Self.part(parts, CURLUPART_HOST)?.lowercased(), !host.isEmpty,
            let port = unsafe Self.part(parts, CURLUPART_PORT, UInt32(CURLU_DEFAULT_PORT))
        else { return nil }

        // It may be absent, but not present and undecodable (a control character).
        var secrets: [String?] = []
        for secret in [CURLUPART_USER, CURLUPART_PASSWORD] {
            if unsafe Self.part(parts, secret) == nil {
                secrets.append(nil)
            } else if let decoded = unsafe Self.part(parts, secret, UInt32(CURLU_URLDECODE)) {
                secrets.append(decoded)
            } else {
                return nil
            }
        }
        for secret in [CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT] {
            guard unsafe curl_url_set(parts, secret, nil, 0) == CURLUE_OK else { return nil }
        }
        guard let url = unsafe Self.part(parts, CURLUPART_URL),
            unsafe curl_url_set(parts, CURLUPART_QUERY, nil, 0) == CURLUE_OK,
            let name = unsafe Self.part(parts, CURLUPART_URL)
        else { return nil }
        self.url = url
        self.name = printable(name, scalarsMax: Self.nameScalarsMax)
        self.origin = "\(scheme)://\(host):\(port)"
        self.host = host
        self.isSecure = scheme == "https"
        self.user = secrets[0]
        self.password = secrets[1]
    }

    /// One part of a parsed URL (curl_url_get(3)); nil if it has none.
    private static func part(_ parts: OpaquePointer, _ part: CURLUPart, _ flags: UInt32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        // SAFETY: on success libcurl returns a NUL-terminated string that this function must free.
        guard unsafe curl_url_get(parts, part, &text, flags) == CURLUE_OK, let text = unsafe text else { return nil }
        defer { unsafe curl_free(text) }
        return unsafe String(cString: text)
    }
}
