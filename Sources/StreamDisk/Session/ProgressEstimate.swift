/// How fast a run is now and how long its phase will still take: by what limits it.
///
/// Fed with every `StreamProgress` of a run; asks no clock.
package struct ProgressEstimate {
    /// What the phase waits for most, and so what its share and its time are counted in.
    package enum Limit: Equatable {
        /// The source: compressed bytes.
        case source
        /// Decoding and the disk: bytes on the disk, zeroed ones among them.
        case disk
        /// Everything is written; the disk empties its cache. Nobody knows how long that takes.
        case flush
        /// Reading the disk and comparing.
        case verify
    }

    /// Bytes a second, over the last seconds.
    package struct Rates: Equatable {
        package var fetched = 0.0
        package var decoded = 0.0
        /// Those zeroed by the device not counted.
        package var written = 0.0
        /// Those zeroed by the device among them.
        package var onDisk = 0.0
        package var verified = 0.0
    }

    /// Rates are of so many last seconds.
    package static let windowSeconds = 5.0
    /// A rate and the time that is left are told after so many.
    package static let settlingSeconds = 1.0
    /// With less than this waiting for the decoders, they wait for the source. A lane holds up to 4 MiB.
    package static let backlogBytesMin = 1 << 20

    private var window: [StreamProgress] = []
    package private(set) var rates = Rates()
    package private(set) var limit = Limit.source
    /// How far the phase is, in bytes of what limits it.
    package private(set) var doneBytes: UInt64 = 0
    package private(set) var totalBytes: UInt64 = 0
    /// Since the limit became what it is.
    package private(set) var limitSeconds = 0.0
    private var limitSince: Double?

    package init() {}

    package mutating func add(_ progress: StreamProgress) {
        let isFlush = progress.isFlush
        if let last = window.last, last.phase != progress.phase || last.isFlush != isFlush { window = [] }
        window.append(progress)
        // One from before the window stays, to measure from.
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

    /// Whether the rates are of long enough to be told.
    package var isSettled: Bool {
        guard let first = window.first, let last = window.last else { return false }
        return last.elapsedSeconds - first.elapsedSeconds >= Self.settlingSeconds
    }

    /// 0 to 1.
    package var share: Double { totalBytes > 0 ? Double(doneBytes) / Double(totalBytes) : 1 }

    /// Bytes a second of what limits.
    package var rate: Double {
        switch limit {
        case .source: rates.fetched
        case .disk: rates.onDisk
        case .flush: 0
        case .verify: rates.verified
        }
    }

    /// Until the end of the phase; nil while nobody can tell.
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
        // One moment's backlog says little: what most of the window shows.
        let starved = window.count { $0.waitingBytes < Self.backlogBytesMin }
        return 2 * starved >= window.count ? .source : behindSource
    }
}

extension StreamProgress {
    /// Written or zeroed by the device.
    package var onDiskBytes: UInt64 { writtenBytes + zeroedBytes }

    /// Everything is written, and what is waited for is the disk's cache.
    package var isFlush: Bool { phase == .write && onDiskBytes >= decodedBytesTotal && bytesInFlight == 0 }
}
