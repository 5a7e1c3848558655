/// Reads an image's metadata on a separate thread, so that the caller's thread can report retries as they happen and say what
/// it is waiting for.
struct BackgroundInspection {
    private let transfer: TransferState
    private let warningSeconds: Double
    private let contents = Monitor<Result<ImageContents, StreamFault>?>(nil)

    /// - Parameter warningSeconds: how long the source may be silent before a warning.
    init(_ transfer: TransferState, warningSeconds: Double = 10) {
        self.transfer = transfer
        self.warningSeconds = warningSeconds
    }

    /// Blocks like `readContents`. Calls `onEvent` on the calling thread.
    func inspect(
        _ source: any ByteSource, hash: ExpectedHash, memoryLimitBytes: UInt64? = nil, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> ImageContents {
        let (transfer, contents) = (transfer, contents)
        let thread: WorkerThread
        do throws(SystemError) {
            thread = try WorkerThread(name: "preflight") {
                let result: Result<ImageContents, StreamFault>
                do throws(StreamFault) {
                    result = .success(
                        try readContents(
                            of: source, hash: hash, memoryLimitBytes: memoryLimitBytes, observer: transfer.observer))
                } catch {
                    result = .failure(error)
                }
                contents.withLock { $0 = result }
                transfer.wakeNoteReader()
            }
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        let begin = Instant.now
        var lastWord = begin
        var result: Result<ImageContents, StreamFault>?
        while result == nil {
            transfer.waitForNotes(until: lastWord.adding(seconds: warningSeconds)) { contents.withLock { $0 != nil } }
            result = contents.withLock { $0 }
            for note in transfer.takeNotes() {
                lastWord = .now
                onEvent(.retry(note))
            }
            guard result == nil, Instant.now.seconds(since: lastWord) >= warningSeconds else { continue }
            lastWord = .now
            let seconds = Int(lastWord.seconds(since: begin))
            onEvent(.warning(.sourceSilent(name: source.name, seconds: seconds)))
        }
        thread.join()
        guard let result else { throw .cancelled }
        return try result.get()
    }
}
