/// Reads an image's metadata on a separate thread, so that the caller's thread can report retries as they happen and say what
/// it is waiting for.
struct BackgroundInspection {
    private let transfer: TransferState
    private let warningSeconds: Double

    /// - Parameter warningSeconds: how long the source may be silent before a warning.
    init(_ transfer: TransferState, warningSeconds: Double = 10) {
        self.transfer = transfer
        self.warningSeconds = warningSeconds
    }

    /// Blocks like `readContents`. Calls `onEvent` on the calling thread.
    func inspect(
        _ source: any ByteSource, hash: ExpectedHash, memoryLimitBytes: UInt64? = nil, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> ImageContents {
        let transfer = transfer
        return try wait(source, onEvent: onEvent) { () throws(StreamFault) in
            try readContents(of: source, hash: hash, memoryLimitBytes: memoryLimitBytes, observer: transfer.observer)
        }
    }

    /// Runs `read`, which reads from the source, on a thread of its own.
    func wait<Value: Sendable>(
        _ source: any ByteSource, onEvent: (StreamEvent) -> Void, _ read: @escaping @Sendable () throws(StreamFault) -> Value
    ) throws(StreamFault) -> Value {
        let transfer = transfer
        let contents = Monitor<Result<Value, StreamFault>?>(nil)
        let thread: WorkerThread
        do throws(SystemError) {
            thread = try WorkerThread(name: "preflight") {
                let result: Result<Value, StreamFault>
                do throws(StreamFault) {
                    result = .success(try read())
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
        var result: Result<Value, StreamFault>?
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
