/// Streams the images of single partitions, each onto its own target from the target's first byte, as an A/B update does.
///
/// Like `streamImage`, with the same checks, events and errors, but without the phases `invalidate` and `commit`: no partition
/// table is read, removed or written. A target may be a partition of a disk that is in use, if the partition itself is not. Each
/// image is padded with zeros to a whole block; what a target holds after that stays. The run succeeds only if all targets are
/// written. If it fails after the first write, targets hold a mix of old and new bytes (``StreamError/DiskState/uncertain``).
///
/// - Parameters:
///   - source: the image; an autoclosure, so an invalid reference throws like any other error. Closed at the end.
///   - regions: at least one partition with its target. No two may name the same partition, or targets that share bytes. All
///     targets are opened, locked and checked before the first write.
///   - cancellation: calling `cancel` on it, from any thread, ends the run once the writes in flight are reaped, unless
///     everything is already written.
///   - approve: called once with the plan, before the first write. Returning false ends the run without a write.
///   - onEvent: called on the calling thread.
/// - Throws: the cause, the phase, and what the targets hold now.
public func streamRegions(
    from source: @autoclosure () throws(SourceError) -> ImageSource, to regions: [RegionTarget],
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    approve: (StreamPlan) -> Bool = { _ in true }, onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .untouched, onEvent) { source, reporter throws(StreamFault) in
        try RegionSession(source: source, options: options, reporter: reporter).run(onto: regions, approve: approve)
    }
}
