/// Streams an image onto a disk: whole, checked and flushed, or not at all.
///
/// Blocks the calling thread, which becomes the writer's, until the run has ended and its other threads are joined. Nothing is
/// printed and no process-wide state is touched; several runs may go on at once, on different disks.
///
/// - Parameters:
///   - source: the image; closed at the end.
///   - cancellation: `cancel` on it, from any thread, ends the run after the writes in flight were reaped, unless the
///     tables are being written already.
///   - approve: asked once, with the plan, before the first byte is written; false ends the run without a write.
///   - onEvent: called on the calling thread.
/// - Throws: why, in which phase, and what that means for the disk.
public func streamImage(
    from source: any ImageSource, to target: StreamTarget, options: StreamOptions = StreamOptions(),
    cancellation: Cancellation = Cancellation(), approve: (StreamPlan) -> Bool = { _ in true },
    onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    defer { source.close() }
    var session = StreamSession(source: source, options: options, cancellation: cancellation)
    do throws(StreamFault) {
        return try session.run(target: target, approve: approve, onEvent: onEvent)
    } catch {
        throw StreamError(cause: error, phase: session.phase, disk: session.disk)
    }
}
