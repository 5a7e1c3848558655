import CosiFormat

@testable import StreamDisk

/// A whole image through preflight. The input is a recipe, so that sums and hashes do not stop every mutation:
/// see `Recipe`.
@c(LLVMFuzzerTestOneInput)
func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let recipe = Recipe(unsafe FuzzInput(data, count).bytes)
    let source = RecipeSource(recipe)
    let observer = SourceObserver(cancellation: Cancellation(), report: { _ in })
    do throws(StreamFault) {
        let contents = try readContents(of: source, observer: observer)
        var jobs = contents.images.map { ImageJob($0) }
        if let pending = contents.pending {
            // The rest of the headers, as the fetch thread reads them, with the images' data passed over.
            let feed = SequentialJobs(pending, source: source, fileSizeBytes: contents.fileSizeBytes)
            while let job = try feed.next(observer: observer) {
                jobs.append(job)
                require(jobs.count <= contents.metadata.disk.gptRegions.count, "more images than regions")
            }
        }
        var end: UInt64 = 0
        for job in jobs.sorted(by: { $0.deviceOffset < $1.deviceOffset }) {
            require(job.deviceOffset >= end, "images overlap on the disk")
            end = job.deviceOffset + job.decodedBytes
            require(end <= contents.metadata.disk.sizeBytes, "an image outside the disk")
            require(job.sha384.count == 48, "a short hash")
        }
        require(jobs.count == contents.metadata.disk.gptRegions.count - 1, "a region without its image")
        _ = try valid { () throws(FormatError) in
            try contents.gpt.placement(onDeviceOf: contents.metadata.disk.sizeBytes)
        }
    } catch {
        switch error {
        case .image, .source: break
        default: fatalError("preflight ends with \(error)")
        }
    }
    return 0
}

/// An image source over what the recipe made.
final class RecipeSource: ReadsAhead {
    let name = "recipe"
    private let recipe: Recipe
    private let reached = Monitor<UInt64>(0)

    init(_ recipe: Recipe) { self.recipe = recipe }

    func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        let count = min(wantedBytes, recipe.headBytes, recipe.file.count)
        return ImageHead(
            bytes: Array(recipe.file[..<count]),
            sizeBytes: recipe.saysSize ? UInt64(recipe.file.count) : nil, isSequential: recipe.isSequential)
    }

    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        if recipe.isSequential {
            let isPast = reached.withLock { reached in
                defer { reached = max(reached, range.upperBound) }
                return range.lowerBound < reached
            }
            if isPast { throw SourceError(.unsupported, source: name, reason: "byte \(range.lowerBound) has passed") }
        }
        require(!recipe.saysSize || range.upperBound <= UInt64(recipe.file.count), "\(range) is past the file's end")
        guard range.upperBound <= UInt64(recipe.file.count) else {
            throw SourceError(
                .changed, source: name, reason: "ends before \(range.upperBound)", offset: UInt64(recipe.file.count),
                isEnd: !recipe.saysSize)
        }
        let file = recipe.file
        do throws(Stopped) {
            try unsafe sink.append(file.span.bytes.extracting(Int(range.lowerBound)..<Int(range.upperBound)))
        } catch {
            throw SourceError(.stopped, source: name, reason: "stopped")
        }
    }

    /// All of `others` but what the recipe's length makes the server refuse.
    func read(
        _ range: Range<UInt64>, into sink: any ByteSink, ahead others: [Range<UInt64>], observer: SourceObserver
    ) throws(SourceError) -> [KnownBytes] {
        require(!recipe.isSequential, "a read ahead of a source with one pass")
        try read(range, into: sink, observer: observer)
        var known: [KnownBytes] = []
        var end = range.upperBound
        for (index, other) in others.enumerated() {
            require(other.lowerBound > end && other.upperBound <= UInt64(recipe.file.count), "\(other) behind \(end)")
            end = other.upperBound
            if (recipe.file.count >> 9 + index) % 5 == 0 { continue }
            let bytes = recipe.file[Int(other.lowerBound)..<Int(other.upperBound)]
            known.append(KnownBytes(offset: other.lowerBound, bytes: Array(bytes)))
        }
        return known
    }

    func close() {}
}
