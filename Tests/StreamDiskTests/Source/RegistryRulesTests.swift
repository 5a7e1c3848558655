import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// What an `oci://` reference, a registry's documents, challenges and files of credentials mean, and what is sent where.
@Suite(.timeLimit(.minutes(5))) struct RegistryRulesTests {
    private static let zeros = "sha256:" + String(repeating: "0", count: 64)

    // MARK: References

    @Test(
        "What is a reference is read, and named as it was.",
        arguments: [
            "host/a:1", "host:5000/a/b-c/d__e:v1.0_x-Y", "[::1]:5000/a:1", "host/a@\(zeros)", "h.example/a.b:t@\(zeros)",
        ])
    func references(text: String) throws {
        #expect(try RegistryReference("oci://" + text).name == "oci://" + text)
    }

    @Test(
        "What is none is refused.",
        arguments: [
            "", "host", "host/", "/a:1", "host/a", "host/a:", "host/A:1", "host/a//b:1", "host/../a:1", "host/-a:1",
            "host/a._b:1",
            "host/a___b:1", "host/a:.1", "host/a:1?x", "host/a:1#x", "host/a:1 ", "host/a%2f:1", "host/a@sha256:12",
            "host/a@sha512:\(String(repeating: "0", count: 128))", "host/a@sha256:\(String(repeating: "A", count: 64))",
            "host:99999/a:1", "host\u{0}/a:1", "ho st/a:1", "host\r\nX: y/a:1", "a/\(String(repeating: "b", count: 300)):1",
            "host:/a:1", "host/a:\(String(repeating: "b", count: 129))", "host/a:\u{11}", "h\u{11}st/a:1", "host/\u{e9}:1",
        ])
    func noReferences(text: String) {
        #expect(sourceError { _ = try RegistryReference("oci://" + text) }?.kind == .invalidReference)
    }

    @Test("A password in a reference is refused and not repeated.")
    func aPasswordInAReference() {
        for text in ["oci://user:hunter@host/a:1", "oci://user:hun@ter@host/a:1@sha256:12", "oci://user:hunter@sha256:1/a:1"] {
            let error = sourceError { _ = try makeByteSource(text) }
            #expect(error?.kind == .invalidReference && "\(error as Any)".contains("hun") == false, "\(text)")
        }
    }

    @Test("A digest that is none does not take the place of the name.")
    func aBrokenDigest() {
        #expect(sourceError { _ = try makeByteSource("oci://host/a@sha256:12") }?.source == "oci://host/a")
    }

    // MARK: Documents

    private func manifest(_ text: String) throws -> RegistryManifest { try RegistryManifest(Array(text.utf8), of: "x") }

    @Test(
        "What is no manifest is refused.",
        arguments: [
            "", "[]", "{}", "{\"schemaVersion\":1,\"layers\":[]}", "{\"schemaVersion\":2}",
            "{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}", "{\"schemaVersion\":2,\"layers\":[],\"layers\":[]}",
            "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"x\",\"size\":-1}]}", String(repeating: "[", count: 100_000),
        ])
    func noManifests(text: String) { #expect(sourceError { _ = try manifest(text) }?.kind == .manifest) }

    @Test("Of an index the only manifest is taken, or the only one for the machine; attestations do not count.")
    func indexes() throws {
        func entry(_ architecture: String?, _ digit: String) -> RegistryManifest.Entry {
            RegistryManifest.Entry(
                digest: "sha256:" + String(repeating: digit, count: 64), size: 1,
                platform: architecture.map { .init(architecture: $0, os: "linux") })
        }
        func chosen(_ entries: [RegistryManifest.Entry]) throws -> RegistryManifest.Entry {
            try RegistryManifest.choose(entries, architecture: "amd64", in: "x")
        }
        #expect(try chosen([entry(nil, "1")]) == entry(nil, "1"))
        #expect(try chosen([entry("arm64", "1"), entry("unknown", "2")]) == entry("arm64", "1"))
        #expect(try chosen([entry("arm64", "1"), entry("amd64", "2")]) == entry("amd64", "2"))
        #expect(sourceError { _ = try chosen([entry("amd64", "1"), entry("amd64", "2")]) }?.kind == .manifest)
        #expect(sourceError { _ = try chosen([entry("arm64", "1"), entry(nil, "2")]) }?.kind == .notFound)
        #expect(sourceError { _ = try chosen([]) }?.kind == .notFound)
    }

    // MARK: Challenges and credentials

    @Test("Challenges are told apart, and quoted values read.")
    func challenges() {
        let text =
            "Basic realm=\"a, b\", Bearer realm=\"https://t/x?y=1\",service=\"s \\\"q\\\"\" , scope = \"r:a:pull,push\", Negotiate"
        let found = AuthenticationChallenge.parse(text)
        #expect(found.map(\.scheme) == ["basic", "bearer", "negotiate"])
        #expect(found.first?.parameters == ["realm": "a, b"])
        #expect(found.dropFirst().first?.parameters["realm"] == "https://t/x?y=1")
        #expect(found.dropFirst().first?.parameters["service"] == "s \"q\"")
        for broken in ["", ",", "\"", "Bearer realm=\"", "=", "Bearer =x", "Bearer realm=\"\\"] {
            _ = AuthenticationChallenge.parse(broken)
        }
    }

    @Test("The longest key counts; Docker's URLs count as their hosts; other hosts never do.")
    func keys() throws {
        let folder = try TemporaryFolder()
        func auth(_ user: String) -> String { "{\"auth\":\"\(Data((user + ":p").utf8).base64EncodedString())\"}" }
        let text = """
            {"auths":{"host:1":\(auth("host")),"host:1/a":\(auth("a")),"host:1/a/b":\(auth("ab")),"host":\(auth("other")),
            "https://index.docker.io/v1/":\(auth("docker")),"empty":{},"broken":{"auth":"!"},"token":{"identitytoken":"word"}}}
            """
        var files = RegistryCredentials.Files { _ in nil }
        files.paths = [folder.path + "/none", try folder.write("config.json", Array(text.utf8))]
        let expected = [
            "host:1/a/b": "ab", "host:1/a/b/c": "ab", "host:1/a/bc": "a", "host:1/ab": "host", "host:2/a": nil, "host/a": "other",
            "docker.io/library/x": "docker", "empty/a": nil, "broken/a": nil, "token/a": nil, "index.docker.io.evil/a": nil,
        ]
        for (name, user) in expected {
            let search = try RegistryCredentials.search(for: try RegistryReference("oci://\(name):1"), in: files)
            #expect(search.credentials?.user == user, "\(name)")
            #expect(search.explanation.contains("word") == false)
        }
    }

    @Test("The files of credentials are those of the environment.")
    func files() {
        func paths(_ variables: [String: String]) -> [String] { RegistryCredentials.Files(user: 7) { variables[$0] }.paths }
        #expect(paths(["HOME": "/h", "XDG_RUNTIME_DIR": "/x"]) == ["/h/.docker/config.json", "/x/containers/auth.json"])
        #expect(paths(["HOME": "/h", "DOCKER_CONFIG": "/d"]) == ["/d/config.json", "/run/containers/7/auth.json"])
        #expect(paths(["HOME": "/h", "REGISTRY_AUTH_FILE": "/r"]) == ["/r"])
        #expect(paths([:]) == ["/run/containers/7/auth.json"])
    }

    @Test("Credentials come out of a pipe, too, whose writer takes a moment.")
    func aPipe() throws {
        let pipe = Pipe()
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.3)
            pipe.fileHandleForWriting.write(Data("{\"auths\":{\"host\":{\"username\":\"u\",\"password\":\"p\"}}}".utf8))
            pipe.fileHandleForWriting.closeFile()
        }
        let files = RegistryCredentials.Files {
            $0 == "REGISTRY_AUTH_FILE" ? "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)" : nil
        }
        let search = try RegistryCredentials.search(for: try RegistryReference("oci://host/a:1"), in: files)
        #expect(search.credentials == RegistryCredentials(user: "u", password: "p"))
    }

    @Test("base64 is read as base64(1) writes it.", arguments: ["", "f", "fo", "foo", "foob", "\u{ff}\u{0}x"])
    func base64(text: String) {
        #expect(base64Decoded(Data(text.utf8).base64EncodedString()) == Array(text.utf8))
        #expect(base64Decoded("a") == nil && base64Decoded("a-==") == nil)
    }

    @Test(
        "A password goes to a token server of https where the registry is of https; else to the registry's own host.",
        arguments: [
            ("https://r", "https://t/x", true), ("https://r", "http://r/x", false), ("http://r", "https://t/x", false),
            ("http://r:1", "http://r:2/x", true), ("http://r", "https://r/x", true), ("http://r", "http://r.evil/x", false),
        ])
    func passwords(registry: String, realm: String, may: Bool) throws {
        let (registry, realm) = (try #require(HTTPAddress(registry)), try #require(HTTPAddress(realm)))
        #expect(RegistryAuthorizer.mayHaveCredentials(realm, of: registry) == may)
    }

    // MARK: A registry that misbehaves

    /// Tokens `t0`, `t1` …, of which only the latest that `isGood` likes are taken.
    private func registry(
        _ content: [UInt8], realm: String? = nil, isGood: @escaping @Sendable (_ token: Int, _ blobRequest: Int) -> Bool,
        digest: String? = nil
    ) throws -> FaultServer {
        let (tokens, blobs) = (Tally(), Tally())
        let hex = MessageDigest.digest(of: content, .sha256).hexadecimalText
        let manifest = "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:\(hex)\",\"size\":\(content.count)}]}"
        return try FaultServer(content) { request in
            if request.path == "/token" {
                return FaultServer.Answer(status: 200, body: Array("{\"token\":\"t\(tokens.next())\"}".utf8))
            }
            let isBlob = request.path.contains("/blobs/")
            let number = isBlob ? blobs.next() : -1
            let token = request.headers["authorization"].flatMap { Int($0.dropFirst("Bearer t".count)) }
            guard let token, isGood(token, number) else {
                let place = realm ?? "http://\(request.headers["host"] ?? "")/token"
                return FaultServer.Answer.status(401).header("WWW-Authenticate", "Bearer realm=\"\(place)\",service=\"s\"")
            }
            guard isBlob else {
                let answer = FaultServer.Answer(status: 200, body: Array(manifest.utf8))
                return digest.map { answer.header("Docker-Content-Digest", $0) } ?? answer
            }
            return FaultServer.Answer().ending(.cut(300_000))
        }
    }

    private func fetch(_ server: FaultServer, connections: Int = 1) throws -> [UInt8] {
        var options = quickOptions(connections: connections)
        options.usesPlainHTTP = true
        return try fetchAll("oci://127.0.0.1:\(server.port)/os/test:one", options: options).bytes
    }

    @Test("A token that expires in mid-stream is renewed, as often as bytes come between.", arguments: [1, 4])
    func renewal(connections: Int) async throws {
        try await onThread {
            let content = sampleBytes(2 << 20)
            // Each is good for some four requests for the blob, of which each brings 300,000 bytes.
            let server = try registry(content) { token, request in request < 4 * (token + 1) }
            #expect(try fetch(server, connections: connections) == content)
            #expect(server.requests.count { $0.path == "/token" } >= 2)
        }
    }

    @Test("A token that is never taken ends the run, after one renewal.")
    func uselessTokens() throws {
        let server = try registry([1, 2, 3]) { _, _ in false }
        let error = sourceError { _ = try fetch(server) }
        #expect(error?.kind == .notPermitted && error?.advice == .logIn)
        #expect(server.requests.count { $0.path == "/token" } == 1)
    }

    @Test("In mid-stream as well.")
    func uselessTokensInMidStream() throws {
        let server = try registry(sampleBytes(2 << 20)) { _, request in request < 2 }
        #expect(sourceError { _ = try fetch(server) }?.kind == .notPermitted)
        #expect(server.requests.count { $0.path == "/token" } == 2)
    }

    @Test(
        "A token server of another scheme, or with a user in its URL, is asked nothing.",
        arguments: ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:word@127.0.0.1:1/x", "", "//x", "javascript:x"])
    func hostileRealms(realm: String) throws {
        let server = try registry([1], realm: realm) { _, _ in true }
        let error = sourceError { _ = try fetch(server) }
        #expect(error?.kind == .notPermitted && error?.reason.contains("word") == false)
    }

    @Test("A manifest with another digest than the registry says is refused.")
    func aWrongContentDigest() throws {
        let server = try registry([1, 2, 3], isGood: { _, _ in true }, digest: Self.zeros)
        #expect(sourceError { _ = try fetch(server) }?.kind == .digest)
    }

    @Test("A manifest with another digest than asked for, one without an end, and a layer of another size are refused.")
    func otherBytes() throws {
        var options = quickOptions()
        options.usesPlainHTTP = true
        let hex = String(repeating: "0", count: 64)
        let manifest = "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:\(hex)\",\"size\":9}]}"
        let server = try FaultServer([1, 2, 3]) { request in
            if request.path.hasSuffix("/large") {
                return FaultServer.Answer(status: 200, body: [UInt8](repeating: 0x20, count: 5 << 20))
            }
            guard request.path.contains("/manifests/") else { return FaultServer.Answer() }
            return FaultServer.Answer(status: 200, body: Array(manifest.utf8))
        }
        let base = "oci://127.0.0.1:\(server.port)/os/test"
        for (rest, kind) in [("@" + Self.zeros, SourceError.Kind.digest), (":one", .digest), (":large", .unsupported)] {
            #expect(sourceError { _ = try fetchAll(base + rest, options: options) }?.kind == kind, "\(rest)")
        }
    }
}

extension [UInt8] {
    fileprivate var hexadecimalText: String { map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
}
