/// Streams an image onto a disk: whole, checked and flushed, or not at all.
///
/// Blocks the calling thread, which becomes the writer's, until the run has ended and its other threads are joined. Nothing is
/// printed and no process-wide state is touched; several runs may go on at once, on different disks. Where regular files are
/// written under a limit on their size (RLIMIT_FSIZE), the caller ignores SIGXFSZ, so that it becomes an error of the disk.
///
/// - Parameters:
///   - source: the image, made here so that a reference that makes no sense is an error like any other; closed at the end.
///   - cancellation: `cancel` on it, from any thread, ends the run after the writes in flight were reaped, unless the
///     tables are being written already.
///   - approve: asked once, with the plan, before the first byte is written; false ends the run without a write.
///   - onEvent: called on the calling thread.
/// - Throws: why, in which phase, and what that means for the disk.
public func streamImage(
    from source: @autoclosure () throws(SourceError) -> any ImageSource, to target: StreamTarget,
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    approve: (StreamPlan) -> Bool = { _ in true }, onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .untouched, onEvent) { source, reporter throws(StreamFault) in
        try StreamSession(source: source, options: options, reporter: reporter).run(onto: target, approve: approve)
    }
}
