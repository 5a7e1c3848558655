/// Streams an image onto a disk: complete, checked and flushed, or not at all.
///
/// Blocks the calling thread, which does the writing, until the run has ended and its other threads are joined. Prints nothing
/// and changes no process-wide state. Several runs on different disks may go on concurrently. SIGPIPE and SIGXFSZ are blocked
/// on the calling thread during the call, also in `onEvent`: what would raise them becomes an error of the run.
///
/// - Parameters:
///   - source: the image; an autoclosure, so an invalid reference throws like any other error. Closed at the end.
///   - cancellation: calling `cancel` on it, from any thread, ends the run once the writes in flight are reaped, unless the
///     partition tables are already being written.
///   - approve: called once with the plan, before the first write. Returning false ends the run without a write.
///   - onEvent: called on the calling thread.
/// - Throws: the cause, the phase, and what the disk holds now.
public func streamImage(
    from source: @autoclosure () throws(SourceError) -> ImageSource, to target: StreamTarget,
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    approve: (StreamPlan) -> Bool = { _ in true }, onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .untouched, onEvent) { source, reporter throws(StreamFault) in
        try StreamSession(source: source, options: options, reporter: reporter).run(onto: target, approve: approve)
    }
}
