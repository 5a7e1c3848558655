import CosiFormat

/// The images of a source that can only be read from front to back: each header is read and checked when its turn comes.
///
/// For one lane, whose fetch thread reads the images between the headers.
final class SequentialJobs: JobFeed {
    private struct State {
        var scan: PendingScan
        var given = false
    }

    private let source: any ImageSource
    private let fileSizeBytes: UInt64?
    private let state: Monitor<State>

    init(_ scan: PendingScan, source: any ImageSource, fileSizeBytes: UInt64?) {
        self.source = source
        self.fileSizeBytes = fileSizeBytes
        state = Monitor(State(scan: scan))
    }

    func next(observer: SourceObserver) throws(StreamFault) -> ImageJob? {
        try state.withLock { state throws(StreamFault) -> ImageJob? in
            if !state.given {
                state.given = true
                return ImageJob(state.scan.first)
            }
            while let needs = state.scan.scanner.needs {
                if let size = fileSizeBytes, needs.upperBound > size {
                    if let error = state.scan.scanner.truncation(fileSizeBytes: size) { throw .image(error) }
                    break
                }
                let collector = ByteCollector(bytesMax: Int(needs.upperBound - needs.lowerBound))
                do throws(SourceError) {
                    try source.read(needs, into: collector, observer: observer)
                } catch {
                    throw StreamFault(error)
                }
                do throws(FormatError) {
                    if let entry = try state.scan.scanner.feed(collector.bytes),
                        let image = try state.scan.checker.check(entry)
                    {
                        return ImageJob(image)
                    }
                } catch {
                    throw .image(error)
                }
            }
            let checker = state.scan.checker
            // Throws when an image that the metadata names never came.
            _ = try valid { () throws(FormatError) in try checker.finish() }
            return nil
        }
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
