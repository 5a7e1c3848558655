/// Runs the body of a session: creates its source first and closes it at the end, stops its transfer on cancellation, and adds
/// the phase, the state of the disk and, for a mismatch, the partition to its errors. Signals that its own writes may raise do
/// not reach the process.
func withSession<Result>(
    _ makeSource: () throws(SourceError) -> ImageSource, _ cancellation: Cancellation, disk: StreamError.DiskState,
    _ onEvent: (StreamEvent) -> Void,
    _ body: (any ByteSource, ProgressReporter) throws(StreamFault) -> Result
) throws(StreamError) -> Result {
    let signals = BlockedSignals()
    defer { signals.restore() }
    let source: any ByteSource
    do throws(SourceError) {
        source = try makeSource().bytes
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
            throw StreamError(cause: error.located(in: reporter.plan), phase: reporter.phase, disk: reporter.disk)
        }
    }
}
