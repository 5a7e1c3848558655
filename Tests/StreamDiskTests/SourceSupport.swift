import Foundation
import StreamDisk

/// Bytes that look random and repeat for a seed (SplitMix64).
func sampleBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SplitMix64(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        let word = generator.next()
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(shift)))) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
}

struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

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
    let source = try makeImageSource(url, options: options)
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

/// Runs `body` on a thread of its own: it may block without holding up the tests beside it.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// Seconds that `body` takes.
func duration(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let time = try clock.measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
}

/// A new folder under the system's temporary one, removed at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "stream-disk-source-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(filePath: file))
        return file
    }
}

/// A number from the environment, for the long forms of tests.
func setting(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }
