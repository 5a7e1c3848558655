package import CosiFormat

/// The images of a source that can only be read from start to end. Each tar header is read and checked when its turn comes.
///
/// One fetch thread reads headers and images in turn. It can feed several lanes.
final class SequentialJobs: JobFeed {
    private struct State {
        /// Nil while the fetch thread reads headers, and after the last one: no I/O happens under the lock.
        var scan: PendingScan?
        var isFirstGiven = false
        /// Images yet to be given; nil: all that there are.
        var wantedLeft: Int?
        var warnings: [FormatWarning] = []
    }

    let concurrentMax = 1
    private let source: any ByteSource
    private let fileSizeBytes: UInt64?
    private let places: [Int: UInt64]?
    private let state: Monitor<State>

    /// - Parameter places: which images are wanted, by their partitions' numbers, and where on the device each goes; the others
    ///   are passed over, and behind the last one nothing is read. Nil: all of them, each to where its partition lies.
    init(_ scan: PendingScan, source: any ByteSource, fileSizeBytes: UInt64?, places: [Int: UInt64]? = nil) {
        self.source = source
        self.fileSizeBytes = fileSizeBytes
        self.places = places
        state = Monitor(State(scan: scan, wantedLeft: places?.count))
    }

    func next(observer: SourceObserver) throws(StreamFault) -> ImageJob? {
        let (taken, isFirst) = state.withLock { state in
            defer { state.isFirstGiven = true }
            return (state.scan.take(), !state.isFirstGiven)
        }
        // After the end, or after a fault.
        guard var scan = taken else { return nil }
        var next = isFirst ? scan.first : try nextImage(&scan, observer)
        while let other = next, let places, places[other.number] == nil { next = try nextImage(&scan, observer) }
        guard let image = next else {
            do throws(SourceError) { try source.checkWhole(observer: observer) } catch { throw StreamFault(error) }
            return nil
        }
        let job = try job(image)
        state.withLock { state in
            state.wantedLeft = state.wantedLeft.map { $0 - 1 }
            if state.wantedLeft != 0 { state.scan = scan }
        }
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
        let job = ImageJob(image, deviceOffset: places?[image.number])
        if let size = fileSizeBytes, job.sourceRange.upperBound > size {
            throw .image(.truncated, "tar entry '\(image.path)'", "reaches past the end of the file (\(size) bytes)")
        }
        return job
    }

    /// The archive has ended; without an end marker, at `offset`. Throws if an image named in the metadata is missing.
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
    /// - Parameter deviceOffset: nil: where its partition lies.
    package init(_ image: CosiLayout.Image, deviceOffset: UInt64? = nil) {
        self.init(
            name: image.path, number: image.number, sourceRange: image.fileOffset..<image.fileOffset + image.compressedSizeBytes,
            sha384: image.sha384, decodedBytes: image.decodedBytes,
            deviceOffset: deviceOffset ?? image.partition.offsetBytes)
    }
}
