/// Collects bytes in memory, up to a fixed number.
final class CollectingSink: ByteSink {
    private let state: Monitor<[UInt8]>
    private let bytesMax: Int

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
        state = Monitor([])
    }

    var bytes: [UInt8] { state.withLock { $0 } }

    func append(_ bytes: RawSpan) {
        state.withLock { collected in
            precondition(bytes.byteCount <= bytesMax - collected.count, "a source delivered more than it was asked for")
            unsafe bytes.withUnsafeBytes { unsafe collected.append(contentsOf: $0) }
        }
    }
}
