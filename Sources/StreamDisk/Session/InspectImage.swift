/// Reads and checks an image as far as possible without its partitions' data: marker, metadata and its hash, every tar header
/// and content index (if the source supports ranges), and the GPT.
///
/// Blocks like `streamImage`; accesses no disk. Reports `.retry` for faults of the source and `.warning` if it is silent.
/// Warnings about the image itself are in ``ImageContents/warnings``.
///
/// - Parameters:
///   - source: the image; an autoclosure, so an invalid reference throws like any other error. Closed at the end.
///   - options: only the hash and the memory limit are used.
///   - cancellation: calling `cancel` on it, from any thread, ends the call.
///   - onEvent: called on the calling thread.
/// - Throws: what is wrong with the image or its source; `.memory` if reading it needs more memory than allowed.
public func inspectImage(
    from source: @autoclosure () throws(SourceError) -> ImageSource, options: StreamOptions = StreamOptions(),
    cancellation: Cancellation = Cancellation(), onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> ImageContents {
    try withSession(source, cancellation, disk: .onlyRead, onEvent) { source, reporter throws(StreamFault) in
        let inspection = BackgroundInspection(reporter.transfer)
        let contents = try inspection.inspect(
            source, hash: options.hash, memoryLimitBytes: options.memoryLimitBytes, onEvent: reporter.tell)
        guard contents.partitionRegions.contains(where: { $0.contentIndex != nil }) else { return contents }
        let (observer, limits) = (reporter.transfer.observer, MemoryLimits(askedBytes: options.memoryLimitBytes))
        _ = try inspection.wait(source, onEvent: reporter.tell) { () throws(StreamFault) in
            try contents.contentIndexes(of: nil, from: source, limits: limits, isOptional: true, observer: observer)
        }
        return contents
    }
}
