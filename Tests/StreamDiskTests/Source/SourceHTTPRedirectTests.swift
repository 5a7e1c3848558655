import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// Where redirects may lead, and what goes along.
@Suite struct SourceHTTPRedirectTests {
    private typealias Answer = FaultServer.Answer

    private static let secrets = ["Authorization: Bearer secret", "X-Token: secret"]

    @Test func redirectsAreFollowedAndRemembered() throws {
        let content = sampleBytes(50_000)
        let mirror = try FaultServer(content)
        let target = mirror.url("/mirror/i.cosi?signature=secret")
        let first = try FaultServer([]) { request in
            request.path == "/hop" ? .redirect(307, to: target) : .redirect(301, to: "/hop")
        }
        try #expect(fetchAll(first.url(), options: quickOptions(headers: Self.secrets)).bytes == content)
        #expect(first.requests.map(\.path) == ["/image.cosi", "/hop"], "ranges go to the last place at once")
        #expect(mirror.requests.count == 2)
        #expect(first.requests.allSatisfy { $0.headers["x-token"] == "secret" })
    }

    @Test func credentialsNeverReachAnotherOrigin() throws {
        let content = sampleBytes(50_000)
        let other = try FaultServer(content)
        let target = other.url()
        let first = try FaultServer(content) { _ in .redirect(to: target) }
        // Another port is another origin, and so is another name of the same host.
        let same = try FaultServer(content)
        let byName = try FaultServer(content) { [port = same.port] _ in
            .redirect(to: "http://other:hidden@localhost:\(port)/image.cosi")
        }
        for (server, reached) in [(first, other), (byName, same)] {
            let url = server.url(userInfo: "user:secret@")
            let got = try fetchAll(url, options: quickOptions(headers: ["X-Token: secret", "Cookie: secret"]))
            #expect(got.bytes == content)
            #expect(
                server.requests[0].headers["authorization"] == "Basic " + Data("user:secret".utf8).base64EncodedString()
            )
            #expect(server.requests[0].headers["x-token"] == "secret")
            for request in reached.requests {
                #expect(request.headers["authorization"] == nil)
                #expect(request.headers["x-token"] == nil)
                #expect(request.headers["cookie"] == nil)
                #expect(request.headers["referer"] == nil)
                #expect(!request.target.contains("secret"))
            }
            #expect(reached.requests.count == 2)
        }
    }

    @Test func credentialsStayWithTheirOrigin() throws {
        let content = sampleBytes(5000)
        let server = try FaultServer(content) { $0.path == "/image.cosi" ? .redirect(to: "/moved") : Answer() }
        _ = try fetchAll(server.url(userInfo: "user:secret@"), options: quickOptions(headers: ["X-Token: secret"]))
        #expect(server.requests.count == 3)
        for request in server.requests {
            #expect(request.headers["authorization"] != nil)
            #expect(request.headers["x-token"] == "secret")
        }
    }

    @Test func endlessOrOddRedirectsAreRefused() async throws {
        try await onThread {
            let loop = try FaultServer([]) { .redirect(to: $0.path == "/a" ? "/b" : "/a") }
            var error: SourceError?
            let seconds = duration { error = sourceError { _ = try fetchAll(loop.url()) } }
            #expect(error?.kind == .unreachable)
            #expect(error?.reason.contains("10") == true)
            #expect(seconds < 5, "no hop waits for anything: \(seconds)")
            #expect(loop.requests.count == 11)
            for target in ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/", "http://"] {
                let server = try FaultServer([]) { _ in .redirect(to: target) }
                #expect(sourceError { _ = try fetchAll(server.url()) }?.kind == .unreachable, "\(target)")
                #expect(server.requests.count == 1)
            }
            let nowhere = try FaultServer([]) { _ in .status(302) }
            #expect(sourceError { _ = try fetchAll(nowhere.url()) }?.kind == .unreachable)
        }
    }

    @Test func anExpiredPlaceIsAskedForAnew() async throws {
        try await onThread {
            let content = sampleBytes(50_000)
            let mirror = try FaultServer(content) { request in
                request.target.hasSuffix("?v=0") && request.index > 0 ? .status(403) : Answer()
            }
            let first = try FaultServer([]) { [port = mirror.port] request in
                .redirect(to: "http://127.0.0.1:\(port)/i?v=\(request.index)")
            }
            try #expect(fetchAll(first.url()).bytes == content)
            #expect(mirror.requests.map(\.target) == ["/i?v=0", "/i?v=0", "/i?v=1"])

            // Where a new one is no better, that is the answer.
            let closed = try FaultServer(content) { $0.index > 0 ? .status(403) : Answer() }
            let second = try FaultServer([]) { [port = closed.port] _ in
                .redirect(to: "http://127.0.0.1:\(port)/i?secret")
            }
            let error = sourceError { _ = try fetchAll(second.url()) }
            #expect(error?.kind == .notPermitted)
            #expect(error?.reason.contains("/i)") == true, "the place is named: \(String(describing: error))")
            #expect(error?.reason.contains("secret") == false)
            #expect(closed.requests.count == 3)
        }
    }
}
