import CosiFormat
import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

/// The headers of an image's tar, which lie all over the file: how many round trips they cost over HTTP.
///
/// What is read is compared with what is read from the file, header by header.
@Suite(.timeLimit(.minutes(10))) struct ReadAheadTests {
    private typealias Answer = FaultServer.Answer

    static let twelve = "--size 48M --esp-mib 4 --level 3 --more-partitions 10"
    static let forms = [
        "", "--style mkcosi", "--tar-format pax", "--tar-format gnu --long-names", "--tar-format pax --long-names",
        "--dot-slash", "--extra-entry", "--no-marker",
    ]

    @Test("The headers of twelve partitions are asked for all at once, in every form of tar.", arguments: forms)
    func headersAreAskedForAtOnce(form: String) async throws {
        try await onThread {
            let image = try SampleImage.make("\(Self.twelve) \(form)")
            let headers = try Self.headersBehindTheHead(image.path)
            // Nobody is answered before all have asked: one by one they would wait for ever, but for the time-out.
            let gathering = Gathering(count: headers.count)
            let server = try FaultServer(image.bytes) { request in
                if request.index > 0 { gathering.join() }
                return Answer()
            }
            try Self.expectSame(server.url(), image.path)
            #expect(gathering.isComplete, "\(server.requests.count) requests")
            #expect(server.requests.count == 1 + headers.count, "one for the head, one a header")
        }
    }

    @Test("The first image's bytes are asked for after two round trips, of twelve partitions as of three.", arguments: [1, 10])
    func dataAreAskedForAfterTwoRoundTrips(more: Int) async throws {
        try await onThread {
            let image = try SampleImage.make("--size 48M --esp-mib 4 --level 3 --more-partitions \(more)")
            let headers = try Self.headersBehindTheHead(image.path).count
            let gathering = Gathering(count: headers)
            let server = try FaultServer(image.bytes) { request in
                if (1...headers).contains(request.index) { gathering.join() }
                return Answer()
            }
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run([server.url(), "--disk", disk, "--yes", "-q"])
                #expect(ended.code == 0, "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
            }
            #expect(gathering.isComplete)
            let asked = server.requests.compactMap(\.range)
            #expect(asked[0].count == 1 << 20)
            #expect(asked[1...headers].allSatisfy { $0.count <= 4096 } && asked[headers + 1].count > 4096)
        }
    }

    /// For the eye; a busy machine makes them longer, so nothing is held against a clock.
    @Test("What an image of three and of twelve partitions costs with 50 ms a request.", arguments: [1, 10])
    func timeWithADelay(more: Int) async throws {
        try await onThread {
            let image = try SampleImage.make("--size 48M --esp-mib 4 --level 3 --more-partitions \(more)")
            let server = try FaultServer(image.bytes) { _ in Answer(delaySeconds: 0.05) }
            let seconds = try duration {
                let source = try makeByteSource(server.url(), options: quickOptions())
                _ = try readContents(of: source, observer: NoteCollector().observer)
                source.close()
            }
            print(
                "\(more + 2) partitions, 50 ms a request: inspected in \(Int(seconds * 1000)) ms, "
                    + "\(server.requests.count) requests on \(server.connectionCount) connections")
        }
    }

    // MARK: Where the guess is wrong

    /// Python over `entries`, the members that are images of partitions, in file order.
    static let orders = [
        "entries[::-1]", "entries[5:] + entries[:5]",
        "[part for entry in entries for part in (other(700), entry)]",
        "[part for entry in entries for part in (other(70000, pax=True), entry)]",
        "entries[:4] + [other(900000)] + entries[4:]",
    ]

    @Test("Images in another order, and entries between them, are found all the same.", arguments: orders)
    func anotherOrderIsScanned(order: String) async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            try withTemporaryFolder { folder in
                let path = folder.path + "/other.cosi"
                try run(
                    "python3",
                    [
                        "-c",
                        """
                        import io, sys, tarfile
                        count = 0
                        def other(size, pax=False):
                            global count
                            count += 1
                            entry = tarfile.TarInfo("other-%d" % count); entry.size = size
                            if pax: entry.pax_headers = {"comment": "x" * 600}
                            return entry
                        with tarfile.open(sys.argv[1]) as old, tarfile.open(sys.argv[2], "w", format=tarfile.PAX_FORMAT) as new:
                            members = old.getmembers()
                            entries = [entry for entry in members if entry.name.startswith("images/") and "gpt" not in entry.name]
                            first = [entry for entry in members if entry not in entries]
                            for entry in first + (\(order)):
                                data = old.extractfile(entry) if entry in members else io.BytesIO(bytes(entry.size))
                                new.addfile(entry, data)
                        """, image.path, path,
                    ])
                let server = try FaultServer(Array(try Data(contentsOf: URL(filePath: path))))
                try Self.expectSame(server.url(), path)
                #expect(server.requests.count < 4 * 14, "\(order)")
            }
        }
    }

    // MARK: Servers that do not play along

    @Test(
        "A server that refuses all but one connection, or never answers on the others, is asked for one header at a time.",
        arguments: ["503", "silence", "cut", "403"])
    func oneConnectionIsEnough(fault: String) async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            let server = try FaultServer(image.bytes) { request in
                guard request.connection > 0 else { return Answer() }
                return switch fault {
                case "503": .status(503, retryAfter: "10")
                case "403": .status(403)
                case "cut": Answer().ending(.cut(100))
                default: Answer(delaySeconds: 60)
                }
            }
            let notes = NoteCollector()
            let seconds = try duration { try Self.expectSame(server.url(), image.path, notes: notes) }
            #expect(notes.notes.isEmpty, "nobody needed what was refused")
            #expect(seconds < 8, "\(seconds)")
            let headers = try Self.headersBehindTheHead(image.path).count
            #expect(server.requests.count <= 1 + 2 * headers, "\(server.requests.count)")
            #expect(server.requests.count { $0.connection > 0 } < headers, "they are not asked for there again")
        }
    }

    @Test("What is needed is retried and told of as ever.")
    func whatIsNeededIsRetried() async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            let server = try FaultServer(image.bytes) { request in
                request.index > 0 && request.index < 16 ? .status(503, retryAfter: "0") : Answer()
            }
            let notes = NoteCollector()
            try Self.expectSame(server.url(), image.path, notes: notes)
            #expect(!notes.notes.isEmpty && notes.notes.allSatisfy { $0.reason.contains("503") })
        }
    }

    @Test("Metadata with a thousand regions costs a bounded number of requests.")
    func aThousandRegionsAreBounded() async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            try withTemporaryFolder { folder in
                let filter = """
                    .disk.gptRegions += [range(20; 1020) as $n | .disk.gptRegions[1]
                        | .number = $n | .image.path = "images/other_\\($n).zst" | .image.compressedSize = 9000]
                    """
                let path = try image.repacked(in: folder, metadata: filter)
                let server = try FaultServer(Array(try Data(contentsOf: URL(filePath: path))))
                let source = try makeByteSource(server.url(), options: quickOptions())
                #expect(throws: StreamFault.self) { try readContents(of: source, observer: NoteCollector().observer) }
                #expect(server.requests.count < 4 * HeaderGuess.headersMax + 40, "\(server.requests.count)")
                #expect(server.connectionCount < 100, "\(server.connectionCount)")
            }
        }
    }

    @Test("A cancellation while headers are waited for ends the wait at once.", arguments: [false, true])
    func cancellationEndsIt(neededIsHere: Bool) async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            let server = try FaultServer(image.bytes) { request in
                request.index == 0 || neededIsHere && request.connection == 0 ? Answer() : Answer(delaySeconds: 60)
            }
            let notes = NoteCollector()
            Thread.detachNewThread {
                while server.requests.count < 5 { usleep(5000) }
                notes.cancellation.cancel()
            }
            let source = try makeByteSource(server.url(), options: quickOptions(stall: 60))
            let seconds = duration {
                #expect { try readContents(of: source, observer: notes.observer) } throws: { error in
                    if case .cancelled? = error as? StreamFault { true } else { false }
                }
            }
            #expect(seconds < 5, "\(seconds)")
        }
    }

    @Test("With TLS, and when each header comes by way of a redirect.")
    func realServers() async throws {
        try await onThread {
            let image = try SampleImage.make(Self.twelve)
            let nginx = try Nginx()
            try nginx.serve("image", image.bytes)
            var options = quickOptions()
            options.caFile = nginx.caFile
            try Self.expectSame(nginx.tlsURL("image"), image.path, options: options)
            let server = try FaultServer([]) { _ in .redirect(to: nginx.url("image")) }
            try Self.expectSame(server.url(), image.path, options: options)
            #expect(server.requests.count == 1, "where it led is remembered")
        }
    }

    // MARK: Helpers

    /// Reads the image from both, and compares what was found.
    private static func expectSame(
        _ url: String, _ path: String, options: SourceOptions = quickOptions(), notes: NoteCollector = NoteCollector()
    ) throws {
        let source = try makeByteSource(url, options: options)
        defer { source.close() }
        let found = try readContents(of: source, observer: notes.observer)
        let expected = try readContents(of: try FileSource(path: path), observer: NoteCollector().observer)
        #expect(found.images.map(\.fileOffset) == expected.images.map(\.fileOffset))
        #expect(found.images.map(\.path) == expected.images.map(\.path))
        #expect(found.warnings.map(\.description) == expected.warnings.map(\.description))
    }

    /// Where tar finds headers beyond the first MiB, the end marker among them; those near the one before are left out.
    private static func headersBehindTheHead(_ path: String) throws -> [Int] {
        // As in `block 9: images/sample_1.raw.zst`, and `block 90: ** Block of NULs **`.
        try run("tar", ["--list", "--block-number", "--file", path]).split(separator: "\n")
            .compactMap { Int($0.dropFirst("block ".count).prefix { $0 != ":" }) }.map { $0 * 512 }.filter { $0 >= 1 << 20 }
            .reduce(into: []) { found, offset in if offset - (found.last ?? 0) > 2048 { found.append(offset) } }
    }
}

/// Lets nobody go on before so many have come, or three seconds have passed.
private final class Gathering: Sendable {
    private let count: Int
    private let come = Monitor(0)

    init(count: Int) { self.count = count }

    var isComplete: Bool { come.withLock { $0 >= count } }

    func join() {
        come.mutateAndNotify { $0 += 1 }
        _ = come.wait(until: .after(seconds: 3)) { [count] come in come >= count ? true : nil }
    }
}
