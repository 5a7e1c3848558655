/// Streams the images of single partitions onto targets of their own, each from the target's first byte: what an A/B update does.
///
/// As `streamImage`, with the same checks, events and errors, and without the phases `invalidate` and `commit`: no partition table
/// is read, removed or written. A target may be a partition of a disk that is in use, as long as itself is not. What a target
/// holds behind its image, filled up with zeros to a whole block, stays. Either all targets are written or the run has failed;
/// then what a target holds is old and new bytes (``StreamError/DiskState/uncertain``).
///
/// - Parameters:
///   - source: the image, made here so that a reference that makes no sense is an error like any other; closed at the end.
///   - regions: which partitions, and what each goes onto; at least one. Two must not name the same partition, nor targets
///     that share bytes. All of them are opened, locked and checked before the first write.
///   - cancellation: `cancel` on it, from any thread, ends the run after the writes in flight were reaped, unless everything
///     is written already.
///   - approve: asked once, with the plan, before the first byte is written; false ends the run without a write.
///   - onEvent: called on the calling thread.
/// - Throws: why, in which phase, and what that means for the targets.
public func streamRegions(
    from source: @autoclosure () throws(SourceError) -> any ImageSource, to regions: [RegionTarget],
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    approve: (StreamPlan) -> Bool = { _ in true }, onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .untouched, onEvent) { source, reporter throws(StreamFault) in
        try RegionSession(source: source, options: options, reporter: reporter).run(onto: regions, approve: approve)
    }
}
