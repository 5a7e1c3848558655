import Foundation
import Glibc
import Testing

@testable import TestSupport

/// What has to do with TLS and its files ends at once, says which it is, and what to change.
@Suite(.timeLimit(.minutes(10))) struct SourceTLSTests {
    /// Fails at once, with time for minutes of retries.
    private func expectRefusal(
        _ code: Int32, _ url: String, _ options: [String] = [], says: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ended = try Program.run(["inspect", url] + options)
        expectFailure(ended, code, says: says, sourceLocation: sourceLocation)
        #expect(!ended.errors.contains("not an image reference"), "\(ended.errors)", sourceLocation: sourceLocation)
        #expect(ended.seconds < 10, sourceLocation: sourceLocation)
    }

    private func served(_ settings: Nginx.Settings = .init()) throws -> Nginx {
        let nginx = try Nginx(settings)
        try nginx.serve("image", [1])
        return nginx
    }

    // MARK: The other protocol

    @Test("https to a port without TLS is named.")
    func tlsToAPlainPort() throws {
        let nginx = try served()
        let url = "https://127.0.0.1:\(nginx.port)/image"
        try expectRefusal(69, url, says: [url, "does not speak TLS", "http://"])
    }

    @Test(
        "http to a port with TLS is named, by the page that a web server sends.",
        arguments: [
            "<title>400 The plain HTTP request was sent to HTTPS port</title>",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            "Client sent an HTTP request to an HTTPS server.\n",
        ])
    func plainToATLSPort(page: String) throws {
        let server = try FaultServer([]) { _ in FaultServer.Answer(status: 400, body: Array(page.utf8)) }
        try expectRefusal(69, server.url(), says: [server.url(), "TLS", "https://"])
    }

    @Test("http to nginx's port with TLS is named.")
    func plainToNginxWithTLS() throws {
        let nginx = try served()
        try expectRefusal(69, "http://127.0.0.1:\(nginx.tlsPort)/image", says: ["TLS", "https://"])
    }

    @Test("http to what answers with a TLS alert is named.")
    func plainAnsweredByAnAlert() throws {
        let alert: [UInt8] = [21, 3, 1, 0, 2, 2, 70]
        let server = try FaultServer([]) { _ in FaultServer.Answer(raw: alert) }
        try expectRefusal(69, server.url(), says: ["answered with TLS", "https://"])
    }

    @Test("http to what closes the connection without a word is tried with TLS, and named if it is spoken.")
    func plainToATLSPortThatHangsUp() throws {
        let nginx = try served()
        let server = try TLSServer(nginx, [])
        defer { server.stop() }
        try expectRefusal(69, server.url("http"), says: ["speaks TLS", "https://"])
        try expectRefusal(69, server.url("oci") + ":one", ["--plain-http"], says: ["speaks TLS", "leave out --plain-http"])
    }

    @Test("What is not HTTP at all is no endless loop.")
    func whatIsNotHTTP() throws {
        let server = try FaultServer([]) { _ in FaultServer.Answer(raw: Array("220 mail.example ready\r\n".utf8)) }
        let ended = try Program.run(["inspect", server.url()])
        expectFailure(ended, 76, says: ["not HTTP"], isQuiet: false)
    }

    // MARK: Certificates

    @Test("A certificate of an unknown authority: --cacert.")
    func anUnknownAuthority() throws {
        let nginx = try served()
        try expectRefusal(69, nginx.tlsURL("image"), says: ["certificate", "not trusted", "--cacert"])
    }

    @Test("A certificate for another name: not --cacert, but the name.")
    func aCertificateForAnotherName() throws {
        let nginx = try served(.init(certificateNames: "DNS:elsewhere.example"))
        let options = ["--cacert", nginx.caFile]
        try expectRefusal(69, nginx.tlsURL("image"), options, says: ["certificate", "name"])
        let ended = try Program.run(["inspect", nginx.tlsURL("image")] + options)
        #expect(!ended.errors.contains("--cacert"), "\(ended.errors)")
    }

    @Test("A server that wants a client certificate and says so in a page: --cert and --key.")
    func aPageThatWantsAClientCertificate() throws {
        let nginx = try served(.init(wantsClientCertificate: true))
        let says = ["client certificate", "--cert", "--key"]
        try expectRefusal(77, nginx.tlsURL("image"), ["--cacert", nginx.caFile], says: ["400"] + says)
        for status in [495, 496] {
            let server = try FaultServer([]) { _ in .status(status) }
            try expectRefusal(77, server.url(), says: ["\(status)", "--cert", "--key"])
        }
    }

    @Test(
        "A server that wants a client certificate and sends an alert: --cert and --key.",
        arguments: [
            ("-tls1_3", 77), ("-tls1_2", 69),
        ])
    func anAlertThatWantsAClientCertificate(version: String, code: Int32) throws {
        let nginx = try served()
        let server = try TLSServer(nginx, ["-Verify", "1", version])
        defer { server.stop() }
        let options = ["--cacert", nginx.caFile]
        try expectRefusal(code, server.url("https"), options, says: ["client certificate", "--cert", "--key"])
    }

    // MARK: The files of the options

    @Test("A file of the options that is missing, a directory or no PEM is named with its option.")
    func filesThatCannotBeUsed() throws {
        let nginx = try served(.init(wantsClientCertificate: true))
        let garbled = try nginx.folder.write("garbled", Array("no PEM\n".utf8))
        let encrypted = nginx.folder.path + "/encrypted.key"
        try run("openssl", ["ec", "-in", nginx.clientKeyFile, "-aes128", "-passout", "pass:x", "-out", encrypted])
        let url = nginx.tlsURL("image")
        let right = ["--cacert": nginx.caFile, "--cert": nginx.clientCertificateFile, "--key": nginx.clientKeyFile]
        for option in right.keys.sorted() {
            for file in ["/none/file.pem", nginx.folder.path, garbled] {
                let options = right.merging([option: file]) { $1 }.flatMap { [$0.key, $0.value] }
                try expectRefusal(64, url, options, says: [option, file])
            }
        }
        for key in [nginx.folder.path + "/ca.key", encrypted] {
            let options = right.merging(["--key": key]) { $1 }.flatMap { [$0.key, $0.value] }
            try expectRefusal(64, url, options, says: ["--key", key, "pass phrase"])
        }
        let ended = try Program.run(["inspect", url, "--key", nginx.clientKeyFile])
        #expect(ended.code == 64 && ended.errors.contains("--cert"), "\(ended.errors)")
    }

    @Test("A file of the options that may not be read: 77.", .enabled(if: geteuid() == 0, "needs root, to become someone else"))
    func filesThatMayNotBeRead() async throws {
        try await onThread {
            let folder = try TemporaryFolder()
            let secret = try folder.write("ca.pem", [1])
            let copy = folder.path + "/stream-disk"
            try run("chmod", ["600", secret])
            try run("chmod", ["755", folder.path])
            try run("install", ["-m", "755", Program.path, copy])
            let ended = try Program.run(
                ["inspect", "https://127.0.0.1:1/image", "--cacert", secret],
                through: [
                    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", "shift; exec \"$0\" \"$@\"",
                    copy,
                ])
            expectFailure(ended, 77, says: ["--cacert", secret])
        }
    }

    @Test("What a proxy's URL holds is not repeated when it is none.")
    func aProxysURLThatIsNone() async throws {
        try await onThread {
            for proxy in ["http://user:word@bad host/", "word://x"] {
                let ended = try Program.run(["inspect", "http://image.invalid/x"], environment: ["http_proxy": proxy])
                expectFailure(ended, 69, says: ["environment", "proxy"])
                #expect(!ended.errors.contains("word"))
            }
        }
    }
}

/// OpenSSL's own test server with the certificates of an nginx: strict where web servers are polite. Runs until `stop`.
private final class TLSServer {
    private let process = Process()
    private let port: UInt16

    init(_ nginx: Nginx, _ options: [String]) throws {
        port = try FaultServer([]).port
        let folder = nginx.folder.path
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            [
                "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", folder + "/server.pem", "-key",
                folder + "/server.key", "-CAfile", nginx.caFile, "-WWW",
            ] + options
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        // Until it listens.
        let connect = "for i in $(seq 200); do : 2>/dev/null <>/dev/tcp/127.0.0.1/\(port) && exit 0; sleep 0.02; done; exit 1"
        do {
            try run("bash", ["-c", connect])
        } catch {
            stop()
            throw error
        }
    }

    /// Not by SIGTERM, which threads of tests block, and what they start inherits that.
    func stop() { kill(process.processIdentifier, SIGKILL) }

    func url(_ scheme: String) -> String { "\(scheme)://127.0.0.1:\(port)/image" }
}
