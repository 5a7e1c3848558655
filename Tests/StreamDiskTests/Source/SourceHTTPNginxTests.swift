import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// The same against a server that others wrote, plain and with TLS.
@Suite struct SourceHTTPNginxTests {
    @Test func oneRequestBringsTheHead() throws {
        let nginx = try Nginx()
        let content = sampleBytes(3 << 20)
        try nginx.serve("image", content)
        let source = try makeByteSource(nginx.url("image"), options: quickOptions())
        let notes = NoteCollector()
        let head = try source.open(wantedBytes: 1 << 20, observer: notes.observer)
        #expect(head.bytes == Array(content[..<(1 << 20)]))
        #expect(head.sizeBytes == 3 << 20)
        let sink = RecordingSink()
        try source.read(0..<3 << 20, into: sink, observer: notes.observer)
        #expect(sink.bytes == content)
        #expect(notes.notes.isEmpty)
        #expect(nginx.accessLog(lines: 2) == ["206 1048576 bytes=0-1048575", "206 2097152 bytes=1048576-3145727"])
    }

    @Test func withoutRangesTheBodyIsSentOnce() throws {
        let nginx = try Nginx(.init(doesRanges: false))
        let content = sampleBytes(3 << 20)
        try nginx.serve("image", content)
        let got = try fetchAll(nginx.url("image"))
        #expect(got.head.isSequential)
        #expect(got.bytes == content)
        #expect(nginx.accessLog(lines: 1) == ["200 3145728 bytes=0-999"])
    }

    @Test func emptyAndMissingFilesAreToldApart() throws {
        let nginx = try Nginx()
        try nginx.serve("empty", [])
        try #expect(fetchAll(nginx.url("empty")).head.sizeBytes == 0)
        #expect(sourceError { _ = try fetchAll(nginx.url("none")) }?.kind == .notFound)
        #expect(nginx.accessLog(lines: 2).count == 2)
    }

    @Test func aFileReplacedMeanwhileHasChanged() throws {
        let nginx = try Nginx()
        try nginx.serve("image", sampleBytes(1 << 20))
        let source = try makeByteSource(nginx.url("image"), options: quickOptions())
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 1000, observer: notes.observer)
        try nginx.serve("image", sampleBytes((1 << 20) + 1, seed: 2))
        let error = sourceError { try source.read(5000..<6000, into: RecordingSink(), observer: notes.observer) }
        #expect(error?.kind == .changed)
    }

    @Test func severalConnectionsGetRoundALimitPerConnection() async throws {
        try await onThread {
            let nginx = try Nginx(.init(limitRate: "1m"))
            let content = sampleBytes(6 << 20)
            try nginx.serve("image", content)
            let seconds = try duration {
                try #expect(fetchAll(nginx.url("image"), options: quickOptions(connections: 17)).bytes == content)
            }
            #expect(seconds < 4, "one connection takes 5 s and more: \(seconds)")
        }
    }

    // MARK: TLS

    private func tls(_ nginx: Nginx, _ change: (inout SourceOptions) -> Void = { _ in }) -> SourceOptions {
        var options = quickOptions()
        options.caFile = nginx.caFile
        change(&options)
        return options
    }

    @Test func onlyAKnownAuthorityIsTrusted() throws {
        let nginx = try Nginx()
        let content = sampleBytes(1 << 20)
        try nginx.serve("image", content)
        try #expect(fetchAll(nginx.tlsURL("image"), options: tls(nginx)).bytes == content)
        try #expect(fetchAll(nginx.tlsURL("image", host: "localhost"), options: tls(nginx)).bytes == content)

        let notes = NoteCollector()
        let error = sourceError {
            _ = try fetchAll(nginx.tlsURL("image"), options: tls(nginx) { $0.caFile = nil }, notes: notes)
        }
        #expect(error?.kind == .unreachable)
        #expect(error?.reason.contains("certificate") == true)
        #expect(notes.notes.isEmpty, "no retry mends it")

        let missing = sourceError {
            _ = try fetchAll(nginx.tlsURL("image"), options: tls(nginx) { $0.caFile = "/none.pem" }, notes: notes)
        }
        #expect(missing?.kind == .unusableFile)
        #expect(missing?.source == "/none.pem")
        #expect(notes.notes.isEmpty)
    }

    @Test func theCAFileReplacesTheSystemsAuthorities() throws {
        // Another authority than the server's, though the server's own is given to another test's nginx.
        let (mine, other) = (try Nginx(), try Nginx())
        try mine.serve("image", [1])
        let error = sourceError { _ = try fetchAll(mine.tlsURL("image"), options: tls(other)) }
        #expect(error?.kind == .unreachable)
        #expect(error?.reason.contains("certificate") == true)
    }

    @Test func aCertificateForAnotherNameIsRefused() throws {
        let nginx = try Nginx(.init(certificateNames: "DNS:elsewhere.example"))
        try nginx.serve("image", [1])
        let notes = NoteCollector()
        let error = sourceError { _ = try fetchAll(nginx.tlsURL("image"), options: tls(nginx), notes: notes) }
        #expect(error?.kind == .unreachable)
        #expect(error?.reason.contains("certificate") == true)
        #expect(notes.notes.isEmpty)
    }

    @Test func aClientCertificateIsShownToWhoAsks() throws {
        let nginx = try Nginx(.init(wantsClientCertificate: true))
        try nginx.serve("image", [1, 2, 3])
        let with = tls(nginx) {
            $0.clientCertificateFile = nginx.clientCertificateFile
            $0.clientKeyFile = nginx.clientKeyFile
        }
        try #expect(fetchAll(nginx.tlsURL("image"), options: with).bytes == [1, 2, 3])
        #expect(sourceError { _ = try fetchAll(nginx.tlsURL("image"), options: tls(nginx)) }?.kind == .notPermitted)
        let broken = tls(nginx) {
            $0.clientCertificateFile = nginx.clientCertificateFile
            $0.clientKeyFile = "/none.key"
        }
        #expect(sourceError { _ = try fetchAll(nginx.tlsURL("image"), options: broken) }?.kind == .unusableFile)
        // Not to where a redirect leads, though that asks too.
        let first = try FaultServer([]) { [url = nginx.tlsURL("image")] _ in .redirect(to: url) }
        #expect(sourceError { _ = try fetchAll(first.url(), options: with) }?.kind == .notPermitted)
    }

    @Test func fromHTTPSToHTTPIsNoWay() throws {
        let nginx = try Nginx()
        try nginx.serve("image", [1])
        let error = sourceError { _ = try fetchAll(nginx.tlsURL("to-plain"), options: tls(nginx)) }
        #expect(error?.kind == .unreachable)
        #expect(error?.reason.contains("https to http") == true)
        #expect(nginx.accessLog(lines: 1).count == 1)
    }

    @Test func oldTLSIsRefused() async throws {
        try await onThread {
            let nginx = try Nginx(.init(extra: "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"))
            try nginx.serve("image", [1])
            let error = sourceError {
                _ = try fetchAll(nginx.tlsURL("image"), options: tls(nginx) { $0.retryTimeoutSeconds = 0.3 })
            }
            #expect(error?.kind == .unreachable)
        }
    }
}
