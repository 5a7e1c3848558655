import CCurl

/// Interprets a transfer that ended without the requested response: whether a retry can help, and what else can.
///
/// libcurl has one error code for most TLS problems, so this depends on the error texts of OpenSSL and common servers. A fault
/// with an unknown text is retried.
enum HTTPFailure {
    /// No response arrived.
    static func meaning(of code: CURLcode, reason: String, proxyStatus: Int) -> HTTPSegment.Outcome {
        switch proxyStatus {
        case 401, 403, 407: return .fail(.notPermitted, "the proxy answered \(proxyStatus)")
        case 400...499 where ![408, 425, 429].contains(proxyStatus):
            return .fail(.unreachable, "the proxy answered \(proxyStatus)")
        case 400...: return .fault(TransientFailure(reason: "the proxy answered \(proxyStatus)"))
        default: break
        }
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH:
            return .fail(
                .unreachable, "the server's certificate is not trusted: \(reason)", adviceOnCertificate(reason))
        case CURLE_SSL_CLIENTCERT:
            return .fail(.notPermitted, "the server wants a client certificate: \(reason)", .giveClientCertificate)
        case CURLE_SSL_CACERT_BADFILE:
            return .fail(.unusableFile, "holds no usable PEM certificates (\(reason))", .check(.authorities))
        case CURLE_SSL_CERTPROBLEM:
            return reason.contains("rivate key")
                ? .fail(
                    .unusableFile, "is not the certificate's key in PEM without a pass phrase (\(reason))",
                    .check(.clientKey))
                : .fail(.unusableFile, "holds no usable PEM certificate (\(reason))", .check(.clientCertificate))
        case CURLE_SSL_CRL_BADFILE, CURLE_SSL_CIPHER, CURLE_URL_MALFORMAT: return .fail(.invalidReference, reason)
        // The text contains the proxy's URL, which may include a password.
        case CURLE_COULDNT_RESOLVE_PROXY where reason.hasPrefix("Unsupported proxy"),
            CURLE_COULDNT_CONNECT where reason.hasPrefix("Unsupported proxy"):
            return .fail(.unreachable, "the environment names a proxy by what is no proxy's URL")
        // libcurl says the same of a header line of more than 100 KiB.
        case CURLE_OUT_OF_MEMORY: return .fail(.unreachable, "libcurl has no memory for the answer, or it has a huge header")
        case CURLE_FAILED_INIT, CURLE_NOT_BUILT_IN, CURLE_BAD_FUNCTION_ARGUMENT,
            CURLE_UNKNOWN_OPTION:
            return .fail(.unreachable, reason)
        // Bytes arrived that are not HTTP/1.
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
            return .fault(TransientFailure(reason: reason, isContradiction: true))
        case CURLE_OK: return .fault(TransientFailure(reason: "the server gave no answer"))
        default: return handshake(reason) ?? .fault(TransientFailure(reason: reason))
        }
    }

    /// Whether a first request without TLS that ended like this, without a byte, may have reached a TLS server: many just hang
    /// up.
    static func mayWantTLS(_ code: CURLcode) -> Bool { [CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR].contains(code) }

    /// The outcome if the server does speak TLS.
    static let wantsTLS = HTTPSegment.Outcome.fail(
        .unreachable, "a plain request was not answered, and what is there speaks TLS", .useTLS)

    /// The fault for a response with too many headers.
    static let tooManyHeaders = TransientFailure(reason: "more than 64 KiB of headers came", isContradiction: true)

    /// The first bytes of a response without a header: a TLS server sends a TLS alert record (RFC 8446 §5.1) to a client that
    /// does not speak TLS.
    static func meaning(ofBytesThatAreNotHTTP bytes: [UInt8]) -> HTTPVerdict {
        bytes.starts(with: [21, 3])
            ? .fail(.unreachable, "a plain request was answered with TLS", .useTLS)
            : .fault(TransientFailure(reason: "what came is not HTTP", isContradiction: true))
    }

    /// The body of a response with status 400, in which servers report TLS problems; nil if it reports none.
    static func meaning(of page: [UInt8], to status: Int) -> HTTPSegment.Outcome? {
        guard status == 400 else { return nil }
        let page = String(decoding: page, as: UTF8.self)
        func says(_ words: String...) -> Bool { words.contains { page.contains($0) } }
        // nginx, Apache, Go.
        if says("plain HTTP request was sent", "plain HTTP to an SSL-enabled", "HTTP request to an HTTPS server") {
            return .fail(.unreachable, "the server answered 400: a plain request at a port for TLS", .useTLS)
        }
        if says("No required SSL certificate") {
            return .fail(
                .notPermitted, "the server answered 400: it wants a client certificate", .giveClientCertificate)
        }
        if says("The SSL certificate error") {
            return .fail(
                .notPermitted, "the server answered 400: it does not accept the client certificate",
                .giveClientCertificate)
        }
        return nil
    }

    /// OpenSSL's texts for a failed handshake that no retry can fix (SSL_alert_desc_string(3), openssl/sslerr.h).
    private static func handshake(_ reason: String) -> HTTPSegment.Outcome? {
        func says(_ words: String...) -> Bool { words.contains { reason.contains($0) } }
        // The first bytes received were not TLS.
        if says("wrong version number", "packet length too long", "SSL routines::http request") {
            return .fail(.unreachable, "what is there does not speak TLS (\(reason))", .usePlainHTTP)
        }
        if says("alert certificate required") {
            return .fail(.notPermitted, "the server wants a client certificate (\(reason))", .giveClientCertificate)
        }
        if says(
            "alert bad certificate", "alert unsupported certificate", "alert certificate revoked",
            "alert certificate expired", "alert certificate unknown", "alert unknown ca", "alert access denied")
        {
            return .fail(
                .notPermitted, "the server does not accept the client certificate (\(reason))", .giveClientCertificate)
        }
        if says("alert handshake failure", "alert protocol version", "alert insufficient security", "unsupported protocol") {
            return .fail(.unreachable, "the TLS handshake failed (\(reason))", .agreeOnTLS)
        }
        return nil
    }

    private static func adviceOnCertificate(_ reason: String) -> SourceError.Advice {
        if reason.contains("expired") || reason.contains("not yet valid") { return .checkClock }
        return reason.contains("subject name") ? .useCertifiedName : .trustAuthority
    }
}
