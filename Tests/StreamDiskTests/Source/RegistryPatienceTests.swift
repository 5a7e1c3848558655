import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// Registries, token servers and blob hosts that cost time or answer strangely: how long they are heard, and what is said of them.
@Suite(.timeLimit(.minutes(5))) struct RegistryPatienceTests {
    private func fetch(_ server: FaultServer, retry: Double = 20, stall: Double = 10, head: Int = 1000) throws -> [UInt8] {
        var options = quickOptions(retry: retry, stall: stall)
        options.usesPlainHTTP = true
        return try fetchAll("oci://127.0.0.1:\(server.port)/os/test:one", head: head, options: options).bytes
    }

    /// Where `manifest` and `token` answer as they are given, and else as they should; a token is asked for if there is an answer.
    private func registry(
        _ content: [UInt8] = [1, 2, 3], manifest: FaultServer.Answer? = nil, token: FaultServer.Answer? = nil,
        blob: @escaping @Sendable (FaultServer.Request) -> FaultServer.Answer = { _ in FaultServer.Answer() }
    ) throws -> FaultServer {
        let hex = Data(MessageDigest.digest(of: content, .sha256)).map { String(format: "%02x", $0) }.joined()
        let text = "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:\(hex)\",\"size\":\(content.count)}]}"
        return try FaultServer(content) { request in
            if request.path == "/token" { return token ?? .status(500) }
            if token != nil, request.headers["authorization"] == nil { return Self.challenge(request) }
            if request.path.contains("/blobs/") { return blob(request) }
            return manifest ?? FaultServer.Answer(status: 200, body: Array(text.utf8))
        }
    }

    private static func challenge(_ request: FaultServer.Request) -> FaultServer.Answer {
        .status(401).header("WWW-Authenticate", "Bearer realm=\"http://\(request.headers["host"] ?? "")/token\"")
    }

    /// Without an end, and never slow enough to count as stalled.
    private static let drip = FaultServer.Answer(
        status: 200, body: [UInt8](repeating: 0x20, count: 4 << 20), trickle: (bytes: 1000, seconds: 0.1))

    @Test("A manifest that comes drop by drop ends with the retry timeout, and is not said to have stalled.")
    func aSlowManifest() async throws {
        try await onThread {
            let server = try registry(manifest: Self.drip)
            let seconds = duration {
                let error = sourceError { _ = try fetch(server, retry: 2, stall: 1) }
                #expect(error?.kind == .unreachable && error?.reason.contains("still to come") == true, "\(error as Any)")
            }
            #expect((1.5..<4).contains(seconds), "\(seconds)")
        }
    }

    @Test("A token that comes drop by drop as well; the notes of its retries name the token server.")
    func aSlowToken() async throws {
        try await onThread {
            let server = try registry(token: Self.drip)
            let error = sourceError { _ = try fetch(server, retry: 1, stall: 0.5) }
            #expect(error?.reason.contains("token server") == true && error?.reason.contains("still to come") == true)
            let silent = try registry(token: FaultServer.Answer(delaySeconds: 30))
            var options = quickOptions(retry: 1.5, stall: 0.5)
            options.usesPlainHTTP = true
            let notes = NoteCollector()
            let seconds = duration {
                let error = sourceError {
                    _ = try fetchAll("oci://127.0.0.1:\(silent.port)/os/test:one", options: options, notes: notes)
                }
                #expect(error?.kind == .unreachable)
            }
            #expect(seconds < 5, "\(seconds)")
            #expect(!notes.notes.isEmpty && notes.notes.allSatisfy { $0.reason.contains("token server") })
        }
    }

    @Test("A request for a token ends at once when the run is cancelled.")
    func cancellation() async throws {
        try await onThread {
            let server = try registry(token: FaultServer.Answer(delaySeconds: 30))
            var options = quickOptions()
            options.usesPlainHTTP = true
            let (notes, source) = (NoteCollector(), try makeByteSource("oci://127.0.0.1:\(server.port)/a:1", options: options))
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: 0.5)
                notes.cancellation.cancel()
            }
            let seconds = duration {
                let error = sourceError { _ = try source.open(wantedBytes: 1, observer: notes.observer) }
                #expect(error?.kind == .stopped)
            }
            #expect(seconds < 5)
        }
    }

    @Test("A registry that is out of order or busy: try later.")
    func busy() throws {
        let server = try registry(manifest: .status(503))
        let error = sourceError { _ = try fetch(server, retry: 0.5) }
        #expect(error?.kind == .unreachable && error?.advice == .tryLater)
    }

    @Test("More headers than are read end it after some tries, not with the retry timeout.", arguments: [true, false])
    func hugeHeaders(ofManifest: Bool) throws {
        let head =
            "HTTP/1.1 200 OK\r\n" + String(repeating: "X-Y: \(String(repeating: "z", count: 1000))\r\n", count: 90) + "\r\n"
        let answer = FaultServer.Answer(raw: Array(head.utf8))
        let server = ofManifest ? try registry(manifest: answer) : try registry(token: answer)
        let error = sourceError { _ = try fetch(server) }
        #expect(error?.kind == .unsupported && error?.reason.contains("headers") == true, "\(error as Any)")
    }

    @Test("403 of a registry or its token server: log in. Of where it sends to, where nothing is shown: no such advice.")
    func forbidden() throws {
        #expect(sourceError { _ = try fetch(try registry(manifest: .status(403))) }?.advice == .logIn)
        #expect(sourceError { _ = try fetch(try registry(token: .status(403))) }?.advice == .logIn)
        #expect(sourceError { _ = try fetch(try registry { _ in .status(403) }) }?.advice == .logIn)
        let host = try FaultServer([]) { _ in .status(403) }
        for server in [
            try registry(manifest: .redirect(to: host.url())), try registry { _ in FaultServer.Answer.redirect(to: host.url()) },
        ] {
            let error = sourceError { _ = try fetch(server) }
            #expect(error?.kind == .notPermitted && error?.advice == nil && error?.reason.contains(host.url()) == true)
        }
    }

    @Test("401 of a server that is no registry: send what it asks for, with a challenge or without.")
    func unauthorized() throws {
        for challenge in [nil, "Basic realm=\"x\""] {
            let server = try FaultServer([]) { _ in FaultServer.Answer.status(401).header("WWW-Authenticate", challenge) }
            #expect(sourceError { _ = try fetchAll(server.url()) }?.advice == .giveCredentials)
        }
    }

    @Test("A token server's name with a path of 60,000 bytes, or with what controls a terminal, does not fill a message.")
    func longNames() throws {
        for path in [String(repeating: "a", count: 60_000), "\u{9b}31m"] {
            let server = try FaultServer([]) { request in
                let realm = "http://\(request.headers["host"] ?? "")/\(path)"
                return request.path.hasSuffix("/manifests/one")
                    ? FaultServer.Answer.status(401).header("WWW-Authenticate", "Bearer realm=\"\(realm)\"") : .status(404)
            }
            let error = sourceError { _ = try fetch(server) }
            #expect(error != nil && "\(error as Any)".utf8.count < 3000)
            #expect(error?.reason.unicodeScalars.contains { (0x80..<0xa0).contains($0.value) } == false)
        }
    }

    @Test("When a token expires under many readers at once, one of them asks for the next, and all go on.")
    func manyReaders() async throws {
        let content = sampleBytes(1 << 20)
        let tokens = Tally()
        let hex = Data(MessageDigest.digest(of: content, .sha256)).map { String(format: "%02x", $0) }.joined()
        let text = "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:\(hex)\",\"size\":\(content.count)}]}"
        let opened = Locked(false)
        let server = try FaultServer(content) { request in
            if request.path == "/token" {
                let text = "{\"token\":\"t\(tokens.next())\"}"
                return FaultServer.Answer(status: 200, body: Array(text.utf8), delaySeconds: 0.5)
            }
            let expected = opened.withLock { $0 } ? "Bearer t1" : "Bearer t0"
            if request.headers["authorization"] != expected { return Self.challenge(request) }
            return request.path.contains("/blobs/")
                ? FaultServer.Answer() : FaultServer.Answer(status: 200, body: Array(text.utf8))
        }
        var options = quickOptions()
        options.usesPlainHTTP = true
        let source = try makeByteSource("oci://127.0.0.1:\(server.port)/a:1", options: options)
        defer { source.close() }
        _ = try await onThread { try source.open(wantedBytes: 1, observer: NoteCollector().observer) }
        opened.withLock { $0 = true }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for reader in 0..<8 {
                let range = (reader << 17)..<((reader + 1) << 17)
                group.addTask {
                    try await onThread {
                        let sink = RecordingSink()
                        try source.read(
                            UInt64(range.lowerBound)..<UInt64(range.upperBound), into: sink, observer: NoteCollector().observer)
                        return sink.bytes == Array(content[range])
                    }
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
        #expect(server.requests.count { $0.path == "/token" } == 2)
    }

    @Test("A server that gives a byte for each token is not fed tokens without end.")
    func aByteAToken() throws {
        let blobs = Tally()
        let server = try registry(
            sampleBytes(300_000), token: FaultServer.Answer(status: 200, body: Array("{\"token\":\"t\"}".utf8))
        ) {
            $0.headers["range"] == "bytes=0-0" || blobs.next() % 2 == 1 ? FaultServer.Answer(partBytesMax: 1) : Self.challenge($0)
        }
        let error = sourceError { _ = try fetch(server, head: 1) }
        #expect(error?.kind == .notPermitted, "\(error as Any)")
        #expect(server.requests.count { $0.path == "/token" } < 15)
    }
}
