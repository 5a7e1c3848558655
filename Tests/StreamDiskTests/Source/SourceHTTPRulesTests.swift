import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

/// The decisions, without a network.
@Suite struct SourceHTTPRulesTests {
    private func take(_ line: String, _ response: inout HTTPResponse) {
        let isTaken = response.add(line: line)
        #expect(isTaken)
    }

    private func response(_ status: Int, _ headers: [String]) -> HTTPResponse {
        var response = HTTPResponse()
        for line in ["HTTP/1.1 \(status) X"] + headers + [""] { take(line + "\r\n", &response) }
        #expect(response.isComplete)
        return response
    }

    private func verdict(
        _ status: Int, _ headers: [String], asked: Range<UInt64> = 100..<200, pin: HTTPValidator? = nil,
        isSequential: Bool = false
    ) -> HTTPVerdict {
        HTTPVerdict(response(status, headers), asked: asked, pin: pin, isSequential: isSequential)
    }

    private func pin(_ headers: [String], size: UInt64? = 1000) -> HTTPValidator {
        HTTPValidator(response(206, headers), sizeBytes: size)
    }

    @Test func contentRangeIsReadStrictly() {
        #expect(ContentRange("bytes 0-99/1234")?.range == 0..<100)
        #expect(ContentRange("Bytes 0-99/1234")?.totalBytes == 1234)
        #expect(ContentRange("bytes 5-5/*")?.range == 5..<6)
        #expect(ContentRange("bytes 5-5/*")?.totalBytes == .some(nil))
        #expect(ContentRange("bytes */77")?.totalBytes == 77)
        #expect(ContentRange("bytes 0-18446744073709551614/18446744073709551615")?.range?.upperBound == UInt64.max)
        for wrong in [
            "", "bytes", "bytes 0-99", "0-99/100", "bytes 0-100/100", "bytes 9-3/100", "bytes -5-9/100",
            "bytes +0-9/100",
            "bytes 0-9/+100", "bytes */*", "bytes 0-9/100, bytes 0-9/100", "octets 0-9/100", "bytes a-b/c",
            "bytes 0-/100",
            "bytes 0-18446744073709551615/*", "bytes 0-99999999999999999999/*", "bytes  0-9/100", "bytes 0-9/",
        ] {
            #expect(ContentRange(wrong) == nil, "\(wrong)")
        }
    }

    @Test func interimAnswersAndFoldedNoiseDoNotConfuse() {
        var response = HTTPResponse()
        for line in [
            "HTTP/1.1 103 Early Hints\r\n", "ETag: \"early\"\r\n", "\r\n", "HTTP/1.1 206\r\n", "etag:\"late\" \r\n",
            "noise\r\n",
        ] {
            take(line, &response)
            #expect(!response.isComplete)
        }
        take("\r\n", &response)
        #expect(response.isComplete && response.status == 206 && response["etag"] == "\"late\"")
    }

    @Test func headersAreBounded() {
        var response = HTTPResponse()
        let line = "X-Filler: " + String(repeating: "x", count: 1000) + "\r\n"
        let taken = (0..<1000).prefix { _ in response.add(line: line) }.count
        #expect(taken * line.utf8.count <= HTTPResponse.headerBytesMax)
        #expect(taken > 60)
    }

    @Test func retryAfterIsSecondsOrADate() throws {
        #expect(response(503, ["Retry-After: 7"]).retryAfterSeconds == 7)
        #expect(response(503, ["Retry-After: soon"]).retryAfterSeconds == nil)
        #expect(response(503, ["Retry-After: "]).retryAfterSeconds == nil)
        // More seconds than an integer holds are many, not none.
        #expect(response(503, ["Retry-After: 99999999999999999999"]).retryAfterSeconds == 1e20)
        #expect(response(503, ["Retry-After: -3"]).retryAfterSeconds == nil)
        #expect(response(503, []).retryAfterSeconds == nil)
        #expect(response(503, ["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"]).retryAfterSeconds == 0)
        // 2100-01-01 is 4102444800 seconds after the epoch.
        let seconds = try #require(response(503, ["Retry-After: Fri, 01 Jan 2100 00:00:00 GMT"]).retryAfterSeconds)
        #expect(abs(seconds - Double(4_102_444_800 - time(nil))) < 3)
    }

    @Test func onlyAStrongTagOrADateStandsInIfRange() {
        let date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
        #expect(pin(["ETag: \"a\"", date]).ifRange == "\"a\"")
        #expect(pin(["ETag: W/\"a\"", date]).ifRange == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(pin(["ETag: W/\"a\""]).ifRange == nil)
        #expect(pin([]).ifRange == nil)
    }

    @Test("What begins where it was asked for and ends earlier is taken as far as it goes (RFC 9110 §15.3.7).")
    func aShorterPartIsTaken() {
        let known = pin(["ETag: \"a\""])
        #expect(verdict(206, ["Content-Range: bytes 100-149/1000"], pin: known) == .body(100..<150, pin: known))
        #expect(verdict(206, ["Content-Range: bytes 100-100/1000"], pin: known) == .body(100..<101, pin: known))
        let stated = HTTPValidator(response(206, []), sizeBytes: 1000)
        #expect(verdict(206, ["Content-Range: bytes 0-9/1000"], asked: 0..<100) == .body(0..<10, pin: stated))
    }

    @Test("Header fields are bytes: those beyond ASCII are told apart and not sent back, UTF-8 or not.")
    func fieldsBeyondASCIIAreKeptApart() {
        func response(_ tag: [UInt8]) -> HTTPResponse {
            var response = HTTPResponse()
            let etag = Array("ETag: \"".utf8) + tag + Array("\"\r\n".utf8)
            let date = Array("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n".utf8)
            for line in [Array("HTTP/1.1 206 X\r\n".utf8), etag, date, [13, 10]] {
                // SAFETY: a UInt8 has no padding.
                let isTaken = unsafe response.add(line: line.span.bytes)
                #expect(isTaken)
            }
            return response
        }
        for (one, other) in [([0xe9], [0xe8]), ([0xc3, 0xa9], [0xc3, 0xa8]), ([0xff], [0xfe])] as [([UInt8], [UInt8])] {
            let pin = HTTPValidator(response(one), sizeBytes: nil)
            #expect(pin.ifRange == "Sun, 06 Nov 1994 08:49:37 GMT")
            #expect(pin.difference(from: response(one), sizeBytes: nil) == nil)
            #expect(pin.difference(from: response(other), sizeBytes: nil) != nil)
        }
        #expect(pin(["ETag: \"\u{e9}\""]).ifRange == nil)
    }

    @Test func anAnswerIsTakenOnlyForExactlyWhatWasAsked() {
        let known = pin(["ETag: \"a\""])
        let right = ["ETag: \"a\"", "Content-Range: bytes 100-199/1000"]
        #expect(verdict(206, right, pin: known) == .body(100..<200, pin: known))
        #expect(verdict(206, ["ETag: W/\"a\"", right[1]], pin: known) == .body(100..<200, pin: known))
        #expect(verdict(206, [right[1]], pin: known) == .body(100..<200, pin: known))
        for wrong in [
            ["Content-Range: bytes 101-199/1000"], ["Content-Range: bytes 99-198/1000"],
            ["Content-Range: bytes 0-99/1000"], ["Content-Range: bytes 100-200/1000"],
            ["Content-Range: bytes 100-199/*"],
            ["Content-Range: bytes */1000"], ["Content-Range: 100-199/1000"], [],
            ["Content-Range: bytes 100-199/1000", "Content-Encoding: gzip"],
            ["Content-Range: bytes 100-199/1000", "Content-Type: multipart/byteranges; boundary=x"],
            ["Content-Range: bytes 100-199/1001", "ETag: \"a\""],
        ] {
            guard case .fault(let fault) = verdict(206, wrong, pin: known) else {
                Issue.record("taken: \(wrong)")
                continue
            }
            #expect(fault.isContradiction)
        }
    }

    @Test func anotherVersionIsAChangeAndNotAFault() {
        let date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
        let other = "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT"
        let range = "Content-Range: bytes 100-199/1000"
        for (before, now) in [
            (["ETag: \"a\""], ["ETag: \"b\"", range]), (["ETag: W/\"a\""], ["ETag: W/\"b\"", range]),
            ([date], [other, range]), ([date], [date, "Content-Range: bytes 100-199/999"]),
            ([], ["Content-Range: bytes 100-199/2000"]),
        ] {
            guard case .fail(.changed, _, _) = verdict(206, now, pin: pin(before)) else {
                Issue.record("not a change: \(before) \(now)")
                continue
            }
        }
        guard case .fail(.changed, _, _) = verdict(200, ["ETag: \"b\""], pin: pin(["ETag: \"a\""])) else {
            Issue.record("200 with another tag is a change")
            return
        }
        guard case .fail(.changed, _, _) = verdict(416, [], pin: pin([])) else {
            Issue.record("416 is a change")
            return
        }
        // The tag decides, where there is one: servers behind one name may differ in dates.
        let tagged = pin(["ETag: \"a\"", date])
        #expect(verdict(206, ["ETag: \"a\"", other, range], pin: tagged) == .body(100..<200, pin: tagged))
    }

    @Test func aStrangersTextIsTamedInMessages() {
        let tag = "\"\u{1b}[2J\u{7f}é" + String(repeating: "x", count: 1000) + "\""
        guard case .fail(_, let reason, _) = verdict(200, ["ETag: " + tag], pin: pin(["ETag: \"a\""])) else {
            Issue.record("another tag was taken")
            return
        }
        #expect(reason.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        #expect(reason.utf8.count < 200)
    }

    @Test func firstContactTellsSizeAndAbilities() {
        let stated = HTTPValidator(response(206, ["ETag: \"a\""]), sizeBytes: 50)
        #expect(
            verdict(206, ["ETag: \"a\"", "Content-Range: bytes 0-49/50"], asked: 0..<100)
                == .body(0..<50, pin: stated))
        #expect(
            verdict(200, ["Content-Length: 50", "ETag: \"a\""], asked: 0..<100) == .wholeBody(pin: stated))
        let unknown = HTTPValidator(response(200, []), sizeBytes: nil)
        #expect(verdict(200, ["Transfer-Encoding: chunked", "Content-Length: 5"]) == .wholeBody(pin: unknown))
        #expect(verdict(416, ["Content-Range: bytes */0"], asked: 0..<100) == .empty)
    }

    @Test func namesHoldNoSecret() throws {
        let address = try #require(HTTPAddress("HTTPS://us%40er:p%3Aw@Host.Example/a/b.cosi?token=t#f"))
        #expect(address.url == "https://Host.Example/a/b.cosi?token=t")
        #expect(address.name == "https://Host.Example/a/b.cosi")
        #expect(address.origin == "https://host.example:443")
        #expect(address.user == "us@er")
        #expect(address.password == "p:w")
        #expect(HTTPAddress("http://[::1]:8080/x")?.origin == "http://[::1]:8080")
        #expect(HTTPAddress("http://h/a b") == nil)
        #expect(HTTPAddress("http://h/a b", isRedirect: true)?.url == "http://h/a%20b")
        for wrong in ["ftp://h/x", "http://h:0x50/", "http://u:%00@h/", "//h/x", "h"] {
            #expect(HTTPAddress(wrong) == nil, "\(wrong)")
        }
    }

    @Test func delaysDoubleWithJitterAndHaveACap() {
        var spot = RetryState(timeoutSeconds: 1000)
        var expected = 0.1
        for attempt in 1...12 {
            let decision = spot.fault(TransientFailure(reason: "x"), at: Instant(nanoseconds: 5), position: 10)
            guard case .retry(let delay, attempt) = decision else {
                Issue.record("\(decision)")
                return
            }
            #expect(delay >= expected / 2 && delay <= expected, "\(attempt): \(delay)")
            expected = min(expected * 2, 5)
        }
    }

    @Test func onlyProgressStopsTheClock() {
        func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }
        var spot = RetryState(timeoutSeconds: 10)
        let fault = TransientFailure(reason: "cut")
        func isRetry(_ decision: RetryState.Decision) -> Bool { if case .retry = decision { true } else { false } }
        #expect(isRetry(spot.fault(fault, at: at(100), position: 0)))
        #expect(isRetry(spot.fault(fault, at: at(105), position: 1)))
        #expect(!spot.isExpired(at: at(109.9), position: 2))
        #expect(spot.isExpired(at: at(110), position: 2))
        #expect(!spot.isExpired(at: at(110), position: 64 << 10))
        // 64 KiB further on it is another spot, with its own clock.
        #expect(isRetry(spot.fault(fault, at: at(111), position: 64 << 10)))
        #expect(spot.attempts == 1)
        #expect(isRetry(spot.fault(fault, at: at(120.5), position: 65 << 10)))
        guard case .giveUp(.unreachable, let reason) = spot.fault(fault, at: at(121), position: 66 << 10) else {
            Issue.record("it did not give up")
            return
        }
        #expect(reason == "no progress for 10 s (3 tries); last: cut")
    }

    @Test("What Retry-After asks for is waited for, a minute at most and never beyond the time for retries; then tried again.")
    func retryAfterIsBounded() {
        for (timeout, asked, waited) in [(300.0, 7.0, 7.0), (300, 3600, 60), (10, 3600, 10), (10, 11, 10), (300, 1e300, 60)] {
            var spot = RetryState(timeoutSeconds: timeout)
            let fault = TransientFailure(reason: "busy", retryAfterSeconds: asked)
            let first = spot.fault(fault, at: Instant(nanoseconds: 0), position: 0)
            #expect(first == .retry(delaySeconds: waited, attempt: 1), "\(timeout) \(asked)")
            let end = Instant(nanoseconds: UInt64(timeout * 1e9))
            guard case .giveUp(.unreachable, _) = spot.fault(fault, at: end, position: 0) else {
                Issue.record("it goes on after \(timeout) s")
                continue
            }
        }
    }

    @Test("Parts shorter than asked for are no faults, but must come to something in the time for retries.")
    func shortPartsMustAdvance() {
        func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }
        var spot = RetryState(timeoutSeconds: 10)
        #expect(spot.shortPart(at: at(100), position: 1) == nil)
        #expect(spot.shortPart(at: at(109), position: 2) == nil)
        #expect(spot.shortPart(at: at(111), position: 64 << 10 + 1) == nil)
        #expect(spot.attempts == 0)
        #expect(spot.shortPart(at: at(120), position: 64 << 10 + 2) == nil)
        #expect(spot.shortPart(at: at(121), position: 64 << 10 + 3) != nil)
    }
}
