/// Identifies the version of a representation that a run reads.
struct HTTPValidator: Equatable, Sendable {
    let etag: String?
    let lastModified: String?
    /// Nil if the server did not state it (only without ranges).
    let sizeBytes: UInt64?

    init(_ response: HTTPResponse, sizeBytes: UInt64?) {
        etag = response["etag"]
        lastModified = response["last-modified"]
        self.sizeBytes = sizeBytes
    }

    /// The value for `If-Range`: a strong ETag, else the date. A weak ETag is not allowed there (RFC 9110 §13.1.5), and a tag
    /// that is not plain ASCII might not be returned byte for byte.
    var ifRange: String? {
        func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7e).contains($0) } }
        if let etag, !etag.hasPrefix("W/"), isPlain(etag) { return etag }
        return lastModified.flatMap { isPlain($0) ? $0 : nil }
    }

    /// Why `response`, which states `sizeBytes`, is of another version; nil if nothing indicates that.
    func difference(from response: HTTPResponse, sizeBytes other: UInt64?) -> String? {
        if let mine = etag, let its = response["etag"] {
            if Self.opaque(mine) != Self.opaque(its) { return "its ETag was \(shown(mine)) and is now \(shown(its))" }
        } else if let mine = lastModified, let its = response["last-modified"], mine != its {
            return "it was last modified \(shown(mine)) and is now of \(shown(its))"
        }
        if let mine = sizeBytes, let other, mine != other { return "it had \(mine) bytes and has now \(other)" }
        return nil
    }

    /// Weak comparison (RFC 9110 §8.8.3.2): servers weaken strong tags when they recode.
    private static func opaque(_ etag: String) -> Substring { etag.hasPrefix("W/") ? etag.dropFirst(2) : etag[...] }
}

/// What the status and headers of a response mean for the requested bytes.
enum HTTPVerdict: Equatable {
    /// The body is wanted and contains these bytes of the image, up to UInt64.max if only its end will show the length. They
    /// may be fewer than requested (RFC 9110 §15.3.7). The pin is what this response states.
    case body(Range<UInt64>, pin: HTTPValidator)
    /// First contact: the server sends the whole image because it does not support ranges.
    case wholeBody(pin: HTTPValidator)
    /// First contact: the image is empty.
    case empty
    /// A redirect (RFC 9110 §15.4).
    case redirect
    case fault(TransientFailure)
    /// No retry can help.
    case fail(SourceError.Kind, String, SourceError.Advice? = nil)

    /// - Parameters:
    ///   - asked: the requested bytes; never empty.
    ///   - pin: nil at first contact, when `asked` may extend beyond the end.
    ///   - isSequential: the whole image was requested, without a range.
    init(_ response: HTTPResponse, asked: Range<UInt64>, pin: HTTPValidator?, isSequential: Bool) {
        let status = "the server answered \(response.status)"
        switch response.status {
        case 200, 206:
            if !response.isIdentity {
                let coding = shown(response["content-encoding"] ?? "")
                self = .contradiction("it came as Content-Encoding \(coding), which was not asked for")
            } else if response.status == 200 {
                self.init(whole: response, pin: pin, isSequential: isSequential)
            } else if isSequential {
                self = .contradiction("\(status) to a request without a range")
            } else {
                self.init(partial: response, asked: asked, pin: pin)
            }
        case 301, 302, 303, 307, 308: self = .redirect
        case 401, 403: self = .fail(.notPermitted, status, .giveCredentials)
        case 407: self = .fail(.notPermitted, status)
        case 404, 410: self = .fail(.notFound, status)
        case 416:
            if pin != nil {
                self = .fail(
                    .changed, "\(status): bytes \(asked.lowerBound)-\(asked.upperBound - 1) are not there any more")
            } else if response.contentRange?.totalBytes == 0 {
                self = .empty
            } else {
                self = .contradiction("\(status) to a range that starts at 0")
            }
        case 408, 425, 429, 500...599:
            let asked = response.retryAfterSeconds
            let wish = asked.map { $0 > 0 ? " and asks to wait \(secondsText($0)) s" : "" } ?? ""
            self = .fault(TransientFailure(reason: status + wish, retryAfterSeconds: asked, advice: .tryLater))
        // nginx's own, for a client certificate that is wrong or missing and for a plain request.
        case 495, 496: self = .fail(.notPermitted, status, .giveClientCertificate)
        case 497: self = .fail(.unreachable, status, .useTLS)
        case 400...499: self = .fail(.unreachable, status)
        default: self = .contradiction(status)
        }
    }

    private init(whole response: HTTPResponse, pin: HTTPValidator?, isSequential: Bool) {
        let sizeBytes = response.contentLength
        guard let pin else {
            self = .wholeBody(pin: HTTPValidator(response, sizeBytes: sizeBytes))
            return
        }
        if let difference = pin.difference(from: response, sizeBytes: sizeBytes) {
            self = .fail(.changed, difference)
        } else if isSequential {
            self = .body(0..<(pin.sizeBytes ?? UInt64.max), pin: pin)
        } else {
            self = .contradiction("the server answered 200 with the whole, where it answered with ranges before")
        }
    }

    private init(partial response: HTTPResponse, asked: Range<UInt64>, pin: HTTPValidator?) {
        let text = response["content-range"].map(shown)
        if response["content-type"]?.lowercased().hasPrefix("multipart/") == true {
            self = .contradiction("one range was asked for, and several came (multipart)")
            return
        }
        guard let text, let stated = response.contentRange, let range = stated.range, let total = stated.totalBytes
        else {
            let what = text.map { "an unusable Content-Range (\($0))" } ?? "no Content-Range"
            self = .contradiction("the server answered 206 with \(what)")
            return
        }
        if let difference = pin?.difference(from: response, sizeBytes: total) {
            // The same strong tag with another size: the header is wrong; the image has not changed.
            let isSameTag = pin?.etag == response["etag"] && pin?.etag?.hasPrefix("W/") == false
            self = isSameTag ? .contradiction("Content-Range is \(text): \(difference)") : .fail(.changed, difference)
            return
        }
        // The part may end earlier than requested: the next request continues from there.
        guard range.lowerBound == asked.lowerBound, range.upperBound <= asked.upperBound else {
            self = .contradiction(
                "bytes \(asked.lowerBound)-\(asked.upperBound - 1) were asked for and Content-Range is \(text)")
            return
        }
        self = .body(range, pin: pin ?? HTTPValidator(response, sizeBytes: total))
    }

    private static func contradiction(_ reason: String) -> HTTPVerdict {
        .fault(TransientFailure(reason: reason, isContradiction: true))
    }
}

/// Foreign text for a message: shortened, and without control characters.
private func shown(_ text: String) -> String {
    let scalars = text.unicodeScalars.prefix(100).map { (0x20...0x7e).contains($0.value) ? $0 : "?" }
    return String(String.UnicodeScalarView(scalars))
}
