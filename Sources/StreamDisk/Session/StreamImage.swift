/// Streams an image onto a disk: whole, checked and flushed, or not at all.
///
/// Blocks the calling thread, which becomes the writer's, until the run has ended and its other threads are joined. Nothing is
/// printed and no process-wide state is touched; several runs may go on at once, on different disks. Where regular files are
/// written under a limit on their size (RLIMIT_FSIZE), the caller ignores SIGXFSZ, so that it becomes an error of the disk.
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
    try withSession(source, cancellation, disk: .untouched, onEvent) { reporter throws(StreamFault) in
        try StreamSession(source: source, options: options, reporter: reporter).run(onto: target, approve: approve)
    }
}

/// Compares a disk with an image, byte for byte, and writes nothing: every partition that has an image, LBA 0, and both
/// partition tables as `streamImage` would place them.
///
/// The image is fetched, checked and decoded as for writing. The disk may be in use or read-only, of which `.warning`s tell.
/// Blocks like `streamImage`, with the phases `preflight`, `verify` and `done`.
///
/// - Parameters:
///   - source: the image; closed at the end.
///   - path: a block device or a regular file.
/// - Throws: `StreamFault.mismatch` when the disk holds other bytes. All of it is compared before, so that what is named is
///   the first difference by its place on the disk.
public func verifyImage(
    from source: any ImageSource, onDisk path: String, options: StreamOptions = StreamOptions(),
    cancellation: Cancellation = Cancellation(), onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .onlyRead, onEvent) { reporter throws(StreamFault) in
        try VerifySession(source: source, options: options, reporter: reporter).run(onto: path)
    }
}

/// Runs the body of a session: the source is closed at its end, a cancellation stops its transfer, and what it throws gets its phase
/// and what that means for the disk.
private func withSession(
    _ source: any ImageSource, _ cancellation: Cancellation, disk: StreamError.DiskState,
    _ onEvent: (StreamEvent) -> Void, _ body: (ProgressReporter) throws(StreamFault) -> StreamResult
) throws(StreamError) -> StreamResult {
    defer { source.close() }
    return try withoutActuallyEscaping(onEvent) { onEvent throws(StreamError) in
        let transfer = TransferState()
        let reporter = ProgressReporter(transfer, disk: disk, onEvent: onEvent)
        do throws(StreamFault) {
            return try cancellation.withHandler({ transfer.stop.cancel() }) { () throws(StreamFault) in
                try body(reporter)
            }
        } catch {
            throw StreamError(cause: error, phase: reporter.phase, disk: reporter.disk)
        }
    }
}
