import CosiFormat

/// The images of a source that can only be read from front to back: each header is read and checked when its turn comes.
///
/// One fetch thread reads headers and images in turn; it may feed several lanes.
final class SequentialJobs: JobFeed {
    private struct State {
        var scan: PendingScan
        var given = false
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
        let reader = ImageReader(
            source: source, head: ImageHead(bytes: [], sizeBytes: fileSizeBytes, isSequential: true), observer: observer)
        return try state.withLock { state throws(StreamFault) -> ImageJob? in
            if !state.given {
                state.given = true
                return try job(state.scan.first)
            }
            while let needs = state.scan.scanner.needs {
                let bytes: [UInt8]
                switch try reader.headerBytes(needs) {
                case .bytes(let found): bytes = found
                case .end(let offset):
                    return try finish(&state, at: offset)
                }
                let image: CosiLayout.Image?
                do throws(FormatError) {
                    image = try state.scan.scanner.feed(bytes).flatMap { entry throws(FormatError) in
                        try state.scan.checker.check(entry)
                    }
                } catch {
                    throw .image(error)
                }
                if let image { return try job(image) }
            }
            return try finish(&state)
        }
    }

    var warnings: [FormatWarning] { state.withLock { $0.warnings } }

    private func job(_ image: CosiLayout.Image) throws(StreamFault) -> ImageJob {
        let job = ImageJob(image)
        if let size = fileSizeBytes, job.sourceRange.upperBound > size {
            throw .image("tar entry '\(image.path)'", "reaches past the end of the file (\(size) bytes)")
        }
        return job
    }

    /// The archive has ended, at `offset` where no marker said so. Throws when an image that the metadata names never came.
    private func finish(_ state: inout State, at offset: UInt64? = nil) throws(StreamFault) -> ImageJob? {
        let (checker, scanner) = (state.scan.checker, state.scan.scanner)
        do throws(FormatError) {
            let end = try offset.map { offset throws(FormatError) in try scanner.end(at: offset) }
            do throws(FormatError) {
                state.warnings = try checker.finish().1 + (end?.warning.map { [$0] } ?? [])
            } catch {
                throw end?.truncation ?? error
            }
        } catch {
            throw .image(error)
        }
        return nil
    }
}

extension ImageJob {
    init(_ image: CosiLayout.Image) {
        self.init(
            name: image.path, sourceRange: image.fileOffset..<image.fileOffset + image.compressedSizeBytes,
            sha384: image.sha384, uncompressedBytes: image.uncompressedSizeBytes,
            deviceOffset: image.partition.offsetBytes)
    }
}
