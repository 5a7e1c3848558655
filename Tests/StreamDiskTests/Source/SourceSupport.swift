import Foundation
import StreamDisk

@testable import TestSupport

/// Keeps what it gets. It can be slow, and refuse after a number of bytes.
final class RecordingSink: ByteSink {
    private let stored = Locked<[UInt8]>([])
    private let onAppend: @Sendable (_ total: Int) throws(Stopped) -> Void

    init(onAppend: @escaping @Sendable (Int) throws(Stopped) -> Void = { (_) throws(Stopped) in }) {
        self.onAppend = onAppend
    }

    var bytes: [UInt8] { stored.withLock { $0 } }

    func append(_ bytes: RawSpan) throws(Stopped) {
        let total = stored.withLock { stored in
            unsafe bytes.withUnsafeBytes { unsafe stored.append(contentsOf: $0) }
            return stored.count
        }
        try onAppend(total)
    }
}

/// Collects a source's notes.
final class NoteCollector: Sendable {
    private let stored = Locked<[SourceNote]>([])
    let cancellation = Cancellation()

    var notes: [SourceNote] { stored.withLock { $0 } }
    var observer: SourceObserver {
        SourceObserver(cancellation: cancellation) { note in self.stored.withLock { $0.append(note) } }
    }
}

/// Limits for tests: short, but not so short that a busy machine breaks them.
func quickOptions(
    retry: Double = 20, stall: Double = 10, connections: Int = 1, headers: [String] = []
) -> SourceOptions {
    var options = SourceOptions()
    options.retryTimeoutSeconds = retry
    options.stallTimeoutSeconds = stall
    options.connections = connections
    options.headers = headers
    return options
}

/// Opens `url`, reads the whole, and closes.
func fetchAll(
    _ url: String, head: Int = 1000, options: SourceOptions = quickOptions(), notes: NoteCollector = NoteCollector()
) throws -> (head: ImageHead, bytes: [UInt8]) {
    let source = try makeByteSource(url, options: options)
    defer { source.close() }
    let opened = try source.open(wantedBytes: head, observer: notes.observer)
    let sink = RecordingSink()
    try source.read(0..<(opened.sizeBytes ?? UInt64(opened.bytes.count)), into: sink, observer: notes.observer)
    return (opened, sink.bytes)
}

/// The error that `body` throws; nil when it throws none or another kind of error.
func sourceError(_ body: () throws -> Void) -> SourceError? {
    do {
        try body()
        return nil
    } catch {
        return error as? SourceError
    }
}
