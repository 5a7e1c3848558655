/// Runs the body of a session: its source is made first and closed at the end, a cancellation stops its transfer, and what it throws
/// gets its phase and what that means for the disk.
func withSession<Result>(
    _ makeSource: () throws(SourceError) -> any ImageSource, _ cancellation: Cancellation, disk: StreamError.DiskState,
    _ onEvent: (StreamEvent) -> Void,
    _ body: (any ImageSource, ProgressReporter) throws(StreamFault) -> Result
) throws(StreamError) -> Result {
    let source: any ImageSource
    do throws(SourceError) {
        source = try makeSource()
    } catch {
        throw StreamError(cause: StreamFault(error), phase: .preflight, disk: disk)
    }
    defer { source.close() }
    return try withoutActuallyEscaping(onEvent) { onEvent throws(StreamError) in
        let transfer = TransferState()
        let reporter = ProgressReporter(transfer, disk: disk, onEvent: onEvent)
        do throws(StreamFault) {
            return try cancellation.withHandler({ transfer.stop.cancel() }) { () throws(StreamFault) in
                try body(source, reporter)
            }
        } catch {
            throw StreamError(cause: error, phase: reporter.phase, disk: reporter.disk)
        }
    }
}
