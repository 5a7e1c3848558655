import CLinux
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

@Suite struct SourceFileTests {
    private func read(_ reference: String, head: Int = 1000) throws -> (head: ImageHead, bytes: [UInt8]) {
        try fetchAll(reference, head: head)
    }

    @Test(arguments: [0, 1, 999, 1000, 1001, 256 << 10, (1 << 20) + 17])
    func aFileIsReadAsItIs(count: Int) throws {
        let folder = try TemporaryFolder()
        let content = sampleBytes(count)
        let got = try read(folder.write("image", content))
        #expect(got.bytes == content)
        #expect(got.head.bytes == Array(content.prefix(1000)))
        #expect(got.head.sizeBytes == UInt64(count))
        #expect(!got.head.isSequential)
    }

    @Test func fileURLsAreDecoded() throws {
        let folder = try TemporaryFolder()
        let content = sampleBytes(100)
        _ = try folder.write("a b%?#ü", content)
        #expect(try read("file://\(folder.path)/a%20b%25%3F%23%C3%BC").bytes == content)
        #expect(try read("file://localhost\(folder.path)/a%20b%25?#ü").bytes == content)
        for wrong in ["file://elsewhere/x", "file://relative", "file:///bad%2", "file:///bad%zz", "file:///nul%00"] {
            #expect(sourceError { _ = try read(wrong) }?.kind == .invalidReference, "\(wrong)")
        }
    }

    @Test func rangesAreDeliveredExactlyAndFromSeveralThreads() async throws {
        let folder = try TemporaryFolder()
        let content = sampleBytes(3 << 20)
        let source = try FileSource(path: folder.write("image", content))
        _ = try source.open(wantedBytes: 10, observer: NoteCollector().observer)
        try await withThrowingTaskGroup { group in
            for lane in 0..<4 {
                group.addTask {
                    try await onThread {
                        for step in 0..<20 {
                            let start = (lane * 700_001 + step * 12_345) % (content.count - 300_000)
                            let sink = RecordingSink()
                            try source.read(
                                UInt64(start)..<UInt64(start + 299_999), into: sink, observer: NoteCollector().observer)
                            #expect(sink.bytes == Array(content[start..<start + 299_999]))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        source.close()
        source.close()
    }

    @Test func whatIsNoFileIsRefusedAtOnce() throws {
        let folder = try TemporaryFolder()
        #expect(sourceError { _ = try read(folder.path + "/none") }?.kind == .notFound)
        #expect(sourceError { _ = try read(folder.write("file", []) + "/below") }?.kind == .notFound)
        #expect(sourceError { _ = try read(folder.path) }?.kind == .invalidReference)
        #expect(sourceError { _ = try read("/dev/null") }?.kind == .invalidReference)
        #expect(unsafe mkfifo(folder.path + "/fifo", 0o600) == 0)
        let seconds = duration {
            #expect(sourceError { _ = try read(folder.path + "/fifo") }?.kind == .invalidReference)
        }
        #expect(seconds < 1)
        #expect(sourceError { _ = try read("") }?.kind == .invalidReference)
    }

    @Test func aFileThatShrinksHasChanged() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("image", sampleBytes(1 << 20))
        let source = try FileSource(path: path)
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 10, observer: notes.observer)
        #expect(unsafe truncate(path, 500_000) == 0)
        let sink = RecordingSink()
        let error = sourceError { try source.read(0..<1 << 20, into: sink, observer: notes.observer) }
        #expect(error?.kind == .changed)
        #expect(error?.offset == 500_000)
        #expect(sink.bytes.count == 500_000)
        #expect(sourceError { try source.read(0..<(2 << 20), into: sink, observer: notes.observer) }?.kind == .changed)
    }

    @Test func cancellationAndTheSinkStopIt() throws {
        let folder = try TemporaryFolder()
        let source = try FileSource(path: folder.write("image", sampleBytes(1 << 20)))
        let notes = NoteCollector()
        _ = try source.open(wantedBytes: 10, observer: notes.observer)
        let full = RecordingSink { (_) throws(Stopped) in throw Stopped() }
        #expect(sourceError { try source.read(0..<1 << 20, into: full, observer: notes.observer) }?.kind == .stopped)
        notes.cancellation.cancel()
        let sink = RecordingSink()
        #expect(sourceError { try source.read(0..<1 << 20, into: sink, observer: notes.observer) }?.kind == .stopped)
        #expect(sink.bytes.isEmpty)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to become someone who may not read the file"))
    func aFileThatMayNotBeReadIsNotPermitted() async {
        // In a process of its own: it gives up its rights.
        await #expect(processExitsWith: .success) {
            let folder = try TemporaryFolder()
            let path = try folder.write("image", [1])
            #expect(unsafe chmod(path, 0) == 0 && chmod(folder.path, 0o755) == 0)
            try #require(seteuid(65534) == 0)
            let kind = sourceError { _ = try fetchAll(path) }?.kind
            try #require(seteuid(0) == 0)
            #expect(kind == .notPermitted)
        }
    }

    @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func aBlockDeviceIsReadLikeAFile() throws {
        let content = sampleBytes(1 << 20)
        try LoopDevice.with(sizeBytes: 1 << 20) { device in
            let file = try FileHandle(forWritingTo: URL(filePath: device.path))
            try file.write(contentsOf: Data(content))
            try file.close()
            let got = try read(device.path)
            #expect(got.head.sizeBytes == 1 << 20)
            #expect(got.bytes == content)
        }
    }

    @Test func referencesAreToldApartByScheme() throws {
        let options = SourceOptions()
        #expect(try makeByteSource("https://host/x", options: options) is HTTPSource)
        #expect(try makeByteSource("HTTP://host/x", options: options) is HTTPSource)
        for path in ["/a/b", "a", "./http:/x", "C:x", "1http://x", "://x"] {
            #expect(try makeByteSource(path, options: options) is FileSource, "\(path)")
        }
        for (wrong, word) in [
            ("oci://registry/name", "digest"), ("ftp://u:secret@host/x?secret", "ftp"), ("https://", "valid"),
            ("http://ho st/x?secret", "valid"), ("https://u:secret@ho st/", "valid"), ("http://host:99999/x", "valid"),
            ("http://u%0a:x@host/", "valid"),
        ] {
            let error = sourceError { _ = try makeByteSource(wrong, options: options) }
            #expect(error?.kind == .invalidReference, "\(wrong)")
            #expect(error?.reason.contains(word) == true, "\(String(describing: error))")
            #expect(error.map { $0.source + $0.reason }?.contains("secret") == false)
        }
    }
}
