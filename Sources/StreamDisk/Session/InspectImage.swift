/// Reads and checks an image as far as it can be without its partitions' data: marker, metadata and its hash, every tar header
/// (where the source can jump), the GPT.
///
/// Blocks like `streamImage`; no disk is looked at. `.retry` tells of faults of the source, `.warning` of one that keeps silent; what
/// the image itself has of warnings is in ``ImageContents/warnings``.
///
/// - Parameters:
///   - source: the image, made here so that a reference that makes no sense is an error like any other; closed at the end.
///   - options: of these, the hash and the memory limit.
///   - cancellation: `cancel` on it, from any thread, ends the call.
///   - onEvent: called on the calling thread.
/// - Throws: what is wrong, in the image's terms; `.memory` when reading it would take more than the limit.
public func inspectImage(
    from source: @autoclosure () throws(SourceError) -> any ImageSource, options: StreamOptions = StreamOptions(),
    cancellation: Cancellation = Cancellation(), onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> ImageContents {
    try withSession(source, cancellation, disk: .onlyRead, onEvent) { source, reporter throws(StreamFault) in
        try BackgroundInspection(reporter.transfer).inspect(
            source, hash: options.hash, memoryLimitBytes: options.memoryLimitBytes, onEvent: reporter.tell)
    }
}
