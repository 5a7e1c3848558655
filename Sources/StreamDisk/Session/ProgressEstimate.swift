/// Estimates how fast a run is and how long its phase will still take, based on its bottleneck.
///
/// Gets every `StreamProgress` of a run. Uses no clock of its own.
package struct ProgressEstimate {
    /// The bottleneck of the phase. Progress and remaining time are measured in its bytes.
    package enum Limit: Equatable {
        /// The source. Counts compressed bytes.
        case source
        /// Decoding and the disk. Counts bytes on the disk, including zeroed ones.
        case disk
        /// Everything is written, and the disk is flushing its cache. How long that takes is unknown.
        case flush
        /// Reading the disk and comparing.
        case verify
    }

    /// Bytes per second, averaged over the last seconds.
    package struct Rates: Equatable {
        package var fetched = 0.0
        package var decoded = 0.0
        /// Without bytes zeroed by the device.
        package var written = 0.0
        /// Including bytes zeroed by the device.
        package var onDisk = 0.0
        package var verified = 0.0
    }

    /// Rates are averaged over this time.
    package static let windowSeconds = 5.0
    /// The rate and remaining time are reported after this time.
    package static let settlingSeconds = 1.0
    /// If fewer bytes than this wait for the decoders, the source is the bottleneck. A lane holds up to 4 MiB.
    package static let backlogBytesMin = 1 << 20

    private var window: [StreamProgress] = []
    package private(set) var rates = Rates()
    package private(set) var limit = Limit.source
    /// Progress of the phase, in bytes of its bottleneck.
    package private(set) var doneBytes: UInt64 = 0
    package private(set) var totalBytes: UInt64 = 0
    /// The time since when the bottleneck is the current one.
    package private(set) var limitSeconds = 0.0
    private var limitSince: Double?

    package init() {}

    package mutating func add(_ progress: StreamProgress) {
        let isFlush = progress.isFlush
        if let last = window.last, last.phase != progress.phase || last.isFlush != isFlush { window = [] }
        window.append(progress)
        // One sample from before the window stays, as the base of the rates.
        while window.count > 2, progress.elapsedSeconds - window[1].elapsedSeconds >= Self.windowSeconds { window.removeFirst() }
        rates = measuredRates
        let before = limit
        limit = limit(of: progress, isFlush: isFlush)
        if limit != before || limitSince == nil { limitSince = progress.elapsedSeconds }
        limitSeconds = progress.elapsedSeconds - (limitSince ?? progress.elapsedSeconds)
        (doneBytes, totalBytes) =
            switch limit {
            case .source: (progress.fetchedBytes, progress.compressedBytesTotal)
            case .disk, .flush: (progress.onDiskBytes, progress.decodedBytesTotal)
            case .verify: (progress.verifiedBytes, progress.verifiedBytesTotal)
            }
        doneBytes = min(doneBytes, totalBytes)
    }

    /// Whether the rates cover enough time to be reported.
    package var isSettled: Bool {
        guard let first = window.first, let last = window.last else { return false }
        return last.elapsedSeconds - first.elapsedSeconds >= Self.settlingSeconds
    }

    /// 0 to 1.
    package var share: Double { totalBytes > 0 ? Double(doneBytes) / Double(totalBytes) : 1 }

    /// Bytes per second of the bottleneck.
    package var rate: Double {
        switch limit {
        case .source: rates.fetched
        case .disk: rates.onDisk
        case .flush: 0
        case .verify: rates.verified
        }
    }

    /// Time until the end of the phase; nil if unknown.
    package var etaSeconds: Double? {
        guard limit != .flush else { return nil }
        if doneBytes == totalBytes { return 0 }
        guard rate > 0, isSettled else { return nil }
        return Double(totalBytes - doneBytes) / rate
    }

    private var measuredRates: Rates {
        guard let first = window.first, let last = window.last, last.elapsedSeconds > first.elapsedSeconds else { return Rates() }
        let seconds = last.elapsedSeconds - first.elapsedSeconds
        func rate(_ bytes: (StreamProgress) -> UInt64) -> Double {
            Double(max(bytes(last), bytes(first)) - bytes(first)) / seconds
        }
        return Rates(
            fetched: rate(\.fetchedBytes), decoded: rate(\.decodedBytes), written: rate(\.writtenBytes),
            onDisk: rate(\.onDiskBytes), verified: rate(\.verifiedBytes))
    }

    private func limit(of progress: StreamProgress, isFlush: Bool) -> Limit {
        if isFlush { return .flush }
        let behindSource: Limit = progress.phase == .verify ? .verify : .disk
        guard progress.fetchedBytes < progress.compressedBytesTotal else { return behindSource }
        // A single sample says little, so the majority of the window decides.
        let starved = window.count { $0.waitingBytes < Self.backlogBytesMin }
        return 2 * starved >= window.count ? .source : behindSource
    }
}

extension StreamProgress {
    /// Bytes written, zeroed by the device, or found there.
    package var onDiskBytes: UInt64 { writtenBytes + zeroedBytes + reusedBytes }

    /// Whether everything is written, and the run waits for the disk's cache.
    package var isFlush: Bool { phase == .write && onDiskBytes >= decodedBytesTotal && bytesInFlight == 0 }
}
