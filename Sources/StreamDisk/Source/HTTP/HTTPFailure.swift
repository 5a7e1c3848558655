import CCurl

/// What it means that a transfer ended without the answer that was asked for: whether a retry can mend it, and what can.
///
/// libcurl has one code for most of what can go wrong with TLS, so OpenSSL's words and those of the common servers have to
/// tell. Words that are not known leave a fault that is retried.
enum HTTPFailure {
    /// No answer came.
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
        // Its words repeat the proxy's URL, which may hold a password.
        case CURLE_COULDNT_RESOLVE_PROXY where reason.hasPrefix("Unsupported proxy"),
            CURLE_COULDNT_CONNECT where reason.hasPrefix("Unsupported proxy"):
            return .fail(.unreachable, "the environment names a proxy by what is no proxy's URL")
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT, CURLE_NOT_BUILT_IN, CURLE_BAD_FUNCTION_ARGUMENT,
            CURLE_UNKNOWN_OPTION:
            return .fail(.unreachable, reason)
        // Bytes came, and they were not HTTP/1.
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
            return .fault(TransientFailure(reason: reason, isContradiction: true))
        case CURLE_OK: return .fault(TransientFailure(reason: "the server gave no answer"))
        default: return handshake(reason) ?? .fault(TransientFailure(reason: reason))
        }
    }

    /// The first bytes of an answer without a header: a TLS record of an alert (RFC 8446 §5.1) answers what is no TLS.
    static func meaning(ofBytesThatAreNotHTTP bytes: [UInt8]) -> HTTPVerdict {
        bytes.starts(with: [21, 3])
            ? .fail(.unreachable, "a plain request was answered with TLS", .useTLS)
            : .fault(TransientFailure(reason: "what came is not HTTP", isContradiction: true))
    }

    /// A page that came with a status of 400, with which servers tell of TLS; nil when it says nothing of it.
    static func meaning(of page: [UInt8], to status: Int) -> HTTPSegment.Outcome? {
        guard status == 400 else { return nil }
        let page = String(decoding: page, as: UTF8.self)
        func says(_ words: String...) -> Bool { words.contains { page.contains($0) } }
        // nginx; Apache; Go.
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

    /// OpenSSL's words for a handshake that no retry mends (SSL_alert_desc_string(3), openssl/sslerr.h).
    private static func handshake(_ reason: String) -> HTTPSegment.Outcome? {
        func says(_ words: String...) -> Bool { words.contains { reason.contains($0) } }
        // The first bytes that came back were no TLS.
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
