import Foundation
import Glibc
import Testing

@testable import TestSupport

/// `oci://` with Debian's docker-registry: open, with a password, with tokens, with TLS, and with blobs elsewhere.
@Suite(.timeLimit(.minutes(10))) struct RegistryTests {
    /// Without what this machine's user has of credentials.
    private func environment(_ folder: TemporaryFolder, credentials: String? = nil) throws -> [String: String] {
        var variables = ["HOME": folder.path, "XDG_RUNTIME_DIR": folder.path, "DOCKER_CONFIG": "", "REGISTRY_AUTH_FILE": ""]
        if let credentials { variables["REGISTRY_AUTH_FILE"] = try folder.write("auth.json", Array(credentials.utf8)) }
        return variables
    }

    private func credentials(_ registry: Registry, _ text: String = "user:secret", path: String = "") -> String {
        "{\"auths\":{\"127.0.0.1:\(registry.port)\(path)\":{\"auth\":\"\(Data(text.utf8).base64EncodedString())\"}}}"
    }

    /// The image is written whole, byte for byte.
    private func expectStreams(
        _ image: SampleImage, _ reference: String, _ options: [String] = ["--plain-http"], environment: [String: String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            let hash = ["--hash", "sha384:" + image.manifest.metadataSha384]
            let ended = try Program.run(
                ["stream", reference, "--disk", path, "--yes"] + hash + options, environment: environment)
            #expect(ended.code == 0, "\(ended.errors)", sourceLocation: sourceLocation)
            try image.expectStreamed(to: path, was: was, sourceLocation: sourceLocation)
            let verified = try Program.run(["verify", reference, "--disk", path] + hash + options, environment: environment)
            #expect(verified.code == 0, "\(verified.errors)", sourceLocation: sourceLocation)
        }
    }

    private func expectRefusal(
        _ code: Int32, _ reference: String, _ options: [String] = ["--plain-http"], environment: [String: String], says: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ended = try Program.run(["inspect", reference] + options, environment: environment)
        expectFailure(ended, code, says: says, sourceLocation: sourceLocation)
        #expect(!ended.errors.contains("secret"), sourceLocation: sourceLocation)
        #expect(ended.seconds < 10, sourceLocation: sourceLocation)
    }

    @Test("An open registry: a tag and a digest stream; two layers are 65, no such tag, repository or digest 66.")
    func anOpenRegistry() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let registry = try Registry()
            defer { registry.stop() }
            let variables = try environment(registry.folder)
            let manifest = try registry.push("os/test", "one", layers: [image.path])
            try expectStreams(image, registry.reference("os/test:one"), environment: variables)
            try expectStreams(image, registry.reference("os/test@" + manifest.digest), environment: variables)

            let other = try registry.folder.write("other", [1, 2, 3])
            try registry.push("os/test", "two", layers: [image.path, other])
            try registry.push("os/test", "other", layers: [other])
            let (two, none) = (registry.reference("os/test:two"), registry.reference("os/test:none"))
            try expectRefusal(65, two, environment: variables, says: [two, "2 layers"])
            try expectRefusal(65, registry.reference("os/test:other"), environment: variables, says: ["invalid image"])
            try expectRefusal(66, none, environment: variables, says: [none, "404"])
            try expectRefusal(66, registry.reference("os/none:one"), environment: variables, says: ["404"])
            let missing = "os/test@sha256:" + String(repeating: "0", count: 64)
            try expectRefusal(66, registry.reference(missing), environment: variables, says: ["404"])
        }
    }

    @Test("An index gives the manifest for this machine, or says for which others there are some.")
    func anIndex() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let registry = try Registry()
            defer { registry.stop() }
            let variables = try environment(registry.folder)
            let other = try registry.folder.write("other", [1, 2, 3])
            let mine = try registry.push("os/test", "mine", layers: [image.path])
            let its = try registry.push("os/test", "its", layers: [other])
            let machine = try run("uname", ["-m"]).trimmingCharacters(in: .whitespacesAndNewlines)
            let architecture = try #require(["x86_64": "amd64", "aarch64": "arm64"][machine])
            try registry.pushIndex(
                "os/test", "both", [("riscv64", its.digest, its.size), (architecture, mine.digest, mine.size)])
            try expectStreams(image, registry.reference("os/test:both"), environment: variables)
            try registry.pushIndex("os/test", "others", [("riscv64", its.digest, its.size), ("s390x", mine.digest, mine.size)])
            try expectRefusal(
                66, registry.reference("os/test:others"), environment: variables, says: [architecture, "riscv64, s390x"])
        }
    }

    @Test("A registry with a password: 77 with advice without it and with a wrong one, else it streams.")
    func aPassword() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let registry = try Registry(.basic)
            defer { registry.stop() }
            let reference = registry.reference("os/test:one")
            try registry.push("os/test", "one", layers: [image.path])
            try expectRefusal(77, reference, environment: environment(registry.folder), says: ["log in"])
            let wrong = try environment(registry.folder, credentials: credentials(registry, "user:secret-not"))
            try expectRefusal(77, reference, environment: wrong, says: ["401", "log in"])
            let helper = try environment(registry.folder, credentials: "{\"credsStore\":\"desktop\"}")
            try expectRefusal(77, reference, environment: helper, says: ["desktop", "not run"])
            let broken = try environment(registry.folder, credentials: "{secret")
            try expectRefusal(64, reference, environment: broken, says: ["auth.json", "JSON"])
            // The longest key counts.
            let right = try environment(registry.folder, credentials: credentials(registry, path: "/os"))
            try expectStreams(image, reference, environment: right)
        }
    }

    @Test("A registry with tokens: anonymous, and with credentials, which the token server sees and the registry does not.")
    func tokens() async throws {
        try await onThread {
            let image = try SampleImage.make()
            for wantsUser in [false, true] {
                let server = try TokenServer(wantsUser: wantsUser)
                let registry = try Registry(.token(server))
                defer { registry.stop() }
                let reference = registry.reference("os/test:one")
                try registry.push("os/test", "one", layers: [image.path])
                if wantsUser {
                    let none = try environment(registry.folder)
                    try expectRefusal(77, reference, environment: none, says: ["token server", "401", "log in"])
                    let wrong = try environment(registry.folder, credentials: credentials(registry, "user:wrong"))
                    try expectRefusal(77, reference, environment: wrong, says: ["token server", "401", "log in"])
                }
                let right = try environment(registry.folder, credentials: wantsUser ? credentials(registry) : nil)
                try expectStreams(image, reference, environment: right)
                #expect(server.requests.allSatisfy { $0.target.contains("scope=repository%3Aos%2Ftest%3Apull") })
                #expect(server.requests.allSatisfy { $0.target.contains("service=test") })
            }
        }
    }

    @Test("Where a registry sends blobs elsewhere, the image comes from there; no token and no header of the user goes there.")
    func aBlobHost() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let host = try FaultServer(try image.bytes)
            let server = try TokenServer()
            let registry = try Registry(.token(server), redirect: host.url("/"))
            defer { registry.stop() }
            try registry.push("os/test", "one", layers: [image.path])
            try expectStreams(
                image, registry.reference("os/test:one"), ["--plain-http", "--header", "X-Mine: secret"],
                environment: environment(registry.folder))
            #expect(host.requests.count > 0)
            for request in host.requests {
                #expect(request.headers["authorization"] == nil && request.headers["x-mine"] == nil)
                #expect(request.path.hasPrefix("/docker/registry/v2/blobs/"))
            }
            #expect(server.requests.allSatisfy { $0.headers["x-mine"] == nil })
        }
    }

    @Test("TLS is what is spoken without --plain-http, and the authority is the user's; what is spoken instead is named.")
    func tls() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let nginx = try Nginx()
            let registry = try Registry(.basic, tls: nginx)
            defer { registry.stop() }
            let reference = registry.reference("os/test:one")
            try registry.push("os/test", "one", layers: [image.path])
            let variables = try environment(registry.folder, credentials: credentials(registry))
            try expectStreams(image, reference, ["--cacert", nginx.caFile], environment: variables)
            try expectRefusal(69, reference, [], environment: variables, says: ["certificate", "--cacert"])
            try expectRefusal(69, reference, environment: variables, says: ["TLS", "--plain-http"])
            let plain = try Registry()
            defer { plain.stop() }
            try expectRefusal(
                69, plain.reference("os/test:one"), [], environment: variables, says: ["does not speak TLS", "--plain-http"])
        }
    }

    @Test(
        "A registry without ranges: the layer's digest is checked to its last byte, before the table is written.",
        arguments: [true, false])
    func onePass(isRight: Bool) async throws {
        try await onThread {
            let image = try SampleImage.make()
            let bytes = try image.bytes
            let digest = "sha256:" + (try sha256(of: image.path))
            let manifest = "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"\(digest)\",\"size\":\(bytes.count)}]}"
            let server = try FaultServer(bytes) { request in
                if request.path.contains("/manifests/") { return FaultServer.Answer(status: 200, body: Array(manifest.utf8)) }
                // Behind the last image, where no other hash looks.
                return FaultServer.Answer(ignoresRange: true, flippedByte: isRight ? nil : bytes.count - 1)
            }
            let folder = try TemporaryFolder()
            let reference = "oci://127.0.0.1:\(server.port)/os/test:one"
            if isRight {
                try expectStreams(image, reference, environment: environment(folder))
                return
            }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let ended = try Program.run(
                    ["stream", reference, "--disk", path, "--yes", "--plain-http", "--quiet"], environment: environment(folder))
                expectFailure(ended, 65, says: [reference, "SHA-256"])
                #expect(try tablesLeft(on: path) == [])
            }
        }
    }
}
