import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Names that do not resolve yet, or for a while: the normal state of a machine that has just got its address.
@Suite(.timeLimit(.minutes(10)), .enabled(if: NameWorld.isAvailable, NameWorld.needs))
struct SourceNameTests {
    @Test(
        "A name that does not resolve at first is waited for, whatever its server answers until then.",
        arguments: ["unknown", "failure", "silence"])
    func aNameThatResolvesLate(absence: String) async throws {
        try await stream(["--appears", "1.5", "--absence", absence]) { ended in
            let retries = ended.events.filter { $0["event"] as? String == "retry" }
            #expect(retries.allSatisfy { ($0["message"] as? String)?.contains("resolve host: image.test") == true })
            #expect(retries.count >= (absence == "silence" ? 1 : 2))
            // Told while it was waited for.
            let first = try #require(retries.first?["t"] as? Double)
            let plan = try #require(ended.events.first { $0["event"] as? String == "plan" }?["t"] as? Double)
            #expect(absence == "silence" || first < plan - 1, "\(first) \(plan)")
        }
    }

    @Test(
        "A name that goes away in mid-run and comes back is survived, also when it has moved and over several connections.",
        arguments: [[], ["--moves"]], [1, 4])
    func aNameThatGoesAwayAndComesBack(move: [String], connections: Int) async throws {
        let options = ["--connections", "\(connections)"]
        try await stream(["--away", "1500000", "1"] + move, options: options) { ended in
            let messages = ended.events.filter { $0["event"] as? String == "retry" }.compactMap { $0["message"] as? String }
            #expect(messages.contains { $0.contains("resolve host") }, "\(messages)")
        }
    }

    @Test(
        "A proxy's name is waited for like a server's, at first and in mid-run.",
        arguments: [["--appears", "1"], ["--away", "1500000", "1"]])
    func aProxysName(absence: [String]) async throws {
        let environment = ["http_proxy": "http://user:word@proxy.test:3128"]
        try await stream(absence, host: "elsewhere.test", environment: environment) { ended in
            let messages = ended.events.filter { $0["event"] as? String == "retry" }.compactMap { $0["message"] as? String }
            #expect(messages.contains { $0.contains("resolve proxy: proxy.test") }, "\(messages)")
            #expect(!messages.contains { $0.contains("word") })
        }
    }

    @Test("A name that never resolves ends the run with the retry timeout, and 69.")
    func aNameThatNeverResolves() async throws {
        try await onThread {
            let image = try SampleImage.make()
            let ended = try Program.run(
                ["inspect", "http://image.test/image.cosi", "--retry-timeout", "1.5"],
                through: [NameWorld.path, "--appears", "1000", image.path])
            expectFailure(ended, 69, says: ["image.test", "resolve", "check the address"], isQuiet: false)
            #expect(ended.seconds > 1.5 && ended.seconds < 8)
        }
    }

    /// Streams an image in such a world, and looks at every byte of it.
    private func stream(
        _ world: [String], host: String = "image.test", options: [String] = [], environment: [String: String] = [:],
        _ check: @escaping @Sendable (Ended) throws -> Void
    ) async throws {
        try await onThread {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run(
                    ["http://\(host)/image.cosi", "--disk", disk, "--yes", "-q", "--retry-timeout", "30"] + options,
                    events: true, environment: environment, through: [NameWorld.path] + world + [image.path])
                #expect(ended.code == 0, "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
                try check(ended)
            }
        }
    }
}

/// The tool that runs a program where names come and go.
enum NameWorld {
    static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools/name-world").path
    static let isAvailable = geteuid() == 0 && (try? run("unshare", ["--net", "--mount", "true"])) != nil
    static let needs: Comment = "needs root, and a kernel that gives it network and mount namespaces"
}
