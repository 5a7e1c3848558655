package import CosiFormat

/// The images of a source that can only be read from front to back: each header is read and checked when its turn comes.
///
/// One fetch thread reads headers and images in turn; it may feed several lanes.
final class SequentialJobs: JobFeed {
    private struct State {
        /// Nil while the fetch thread reads headers, and after the last one: nothing is read under the lock.
        var scan: PendingScan?
        var isFirstGiven = false
        var warnings: [FormatWarning] = []
    }

    let concurrentMax = 1
    private let source: any ImageSource
    private let fileSizeBytes: UInt64?
    private let state: Monitor<State>

    init(_ scan: PendingScan, source: any ImageSource, fileSizeBytes: UInt64?) {
        self.source = source
        self.fileSizeBytes = fileSizeBytes
        state = Monitor(State(scan: scan))
    }

    func next(observer: SourceObserver) throws(StreamFault) -> ImageJob? {
        let (taken, isFirst) = state.withLock { state in
            defer { state.isFirstGiven = true }
            return (state.scan.take(), !state.isFirstGiven)
        }
        // After the end, or after a fault.
        guard var scan = taken else { return nil }
        guard let image = isFirst ? scan.first : try nextImage(&scan, observer) else { return nil }
        let job = try job(image)
        state.withLock { $0.scan = scan }
        return job
    }

    var warnings: [FormatWarning] { state.withLock { $0.warnings } }

    /// Reads headers up to the next image's; nil at the end of the archive.
    private func nextImage(_ scan: inout PendingScan, _ observer: SourceObserver) throws(StreamFault) -> CosiLayout.Image? {
        let reader = ImageReader(
            source: source, head: ImageHead(bytes: [], sizeBytes: fileSizeBytes, isSequential: true), observer: observer)
        while let needs = scan.scanner.needs {
            let bytes: [UInt8]
            switch try reader.headerBytes(needs) {
            case .bytes(let found): bytes = found
            case .end(let offset):
                try finish(scan, at: offset)
                return nil
            }
            do throws(FormatError) {
                guard let entry = try scan.scanner.feed(bytes) else { continue }
                if let image = try scan.checker.check(entry) { return image }
            } catch {
                throw .image(error)
            }
        }
        try finish(scan)
        return nil
    }

    private func job(_ image: CosiLayout.Image) throws(StreamFault) -> ImageJob {
        let job = ImageJob(image)
        if let size = fileSizeBytes, job.sourceRange.upperBound > size {
            throw .image(.truncated, "tar entry '\(image.path)'", "reaches past the end of the file (\(size) bytes)")
        }
        return job
    }

    /// The archive has ended, at `offset` where no marker said so. Throws when an image that the metadata names never came.
    private func finish(_ scan: PendingScan, at offset: UInt64? = nil) throws(StreamFault) {
        do throws(FormatError) {
            let end = try offset.map { offset throws(FormatError) in try scan.scanner.end(at: offset) }
            do throws(FormatError) {
                let warnings = try scan.checker.finish().1 + (end?.warning.map { [$0] } ?? [])
                state.withLock { $0.warnings = warnings }
            } catch {
                throw end?.truncation ?? error
            }
        } catch {
            throw .image(error)
        }
    }
}

extension ImageJob {
    package init(_ image: CosiLayout.Image) {
        self.init(
            name: image.path, sourceRange: image.fileOffset..<image.fileOffset + image.compressedSizeBytes,
            sha384: image.sha384, decodedBytes: image.decodedBytes,
            deviceOffset: image.partition.offsetBytes)
    }
}
