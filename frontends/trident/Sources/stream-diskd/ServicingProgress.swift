import StreamDisk

/// How far a servicing is, in words, at a rate that a log can bear.
struct ServicingProgress {
    private static let statusSeconds = 1.0
    private static let lineSeconds = 5.0

    var phase = StreamPhase.preflight
    private var statusAt = 0.0
    /// Since when the rate is measured: the last line.
    private var base: (seconds: Double, bytes: UInt64)?
    private var isFirstLine = true

    init() {}

    /// What is to be said now, if anything: for the service manager and for the log.
    mutating func texts(of progress: StreamProgress) -> (status: String?, line: String?) {
        let bytes = progress.writtenBytes + progress.zeroedBytes + progress.reusedBytes
        guard let last = base else {
            base = (progress.elapsedSeconds, bytes)
            return (nil, nil)
        }
        let seconds = progress.elapsedSeconds - last.seconds
        guard seconds >= Self.statusSeconds, progress.elapsedSeconds - statusAt >= Self.statusSeconds else { return (nil, nil) }
        let text = text(progress, bytes, rate: Double(bytes - min(bytes, last.bytes)) / seconds)
        statusAt = progress.elapsedSeconds
        guard isFirstLine || seconds >= Self.lineSeconds else { return (text, nil) }
        isFirstLine = false
        base = (progress.elapsedSeconds, bytes)
        return (text, text)
    }

    private func text(_ progress: StreamProgress, _ bytes: UInt64, rate: Double) -> String {
        let total = progress.decodedBytesTotal
        if bytes >= total, progress.bytesInFlight == 0 { return "flushing the disk's cache" }
        let percent = total > 0 ? Int(Double(bytes) / Double(total) * 100) : 100
        return "streaming \(percent) %, \(Self.megabytes(rate)) MB/s"
    }

    private static func megabytes(_ bytes: Double) -> Int { Int((bytes / 1e6).rounded()) }

    /// What was done, in a line.
    static func summary(_ result: StreamResult) -> String {
        let seconds = max(result.elapsedSeconds, 0.001)
        let bytes = Double(result.writtenBytes + result.zeroedBytes + result.reusedBytes)
        return "\(megabytes(Double(result.writtenBytes))) MB written and \(megabytes(Double(result.zeroedBytes))) MB zeroed in "
            + "\(Int(seconds.rounded(.up))) s, \(megabytes(bytes / seconds)) MB/s"
    }
}
