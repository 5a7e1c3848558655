/// Keeps what it is given: for the head of an image, which the caller has bounded.
final class HeadCollector: ByteSink {
    private let bytes = Monitor<[UInt8]>([])

    func append(_ span: RawSpan) throws(SourceError) {
        bytes.withLock { bytes in
            // SAFETY: copied while the span lives.
            unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
        }
    }

    func takeBytes() -> [UInt8] { bytes.withLock { bytes in exchange(&bytes, with: []) } }
}
