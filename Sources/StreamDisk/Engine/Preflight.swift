/// The reading of an image's metadata as a part of a run: on a thread of its own, so that the caller's thread is free to pass on
/// what the source tells when it tells it, and to say that something is waited for.
struct Preflight {
    private let run: RunState
    private let warningSeconds: Double
    private let contents = Monitor<Result<ImageContents, StreamFault>?>(nil)

    /// - Parameter warningSeconds: a silence so long is told of.
    init(_ run: RunState, warningSeconds: Double = 10) {
        self.run = run
        self.warningSeconds = warningSeconds
    }

    /// Blocks like `inspectImage`. `onEvent` is called on the calling thread.
    func inspect(
        _ source: any ImageSource, hash: ExpectedHash, memoryLimitBytes: UInt64? = nil, onEvent: (StreamEvent) -> Void
    ) throws(StreamFault) -> ImageContents {
        let (run, contents) = (run, contents)
        let thread: WorkerThread
        do throws(SystemError) {
            thread = try WorkerThread(name: "preflight") {
                let result: Result<ImageContents, StreamFault>
                do throws(StreamFault) {
                    result = .success(
                        try inspectImage(
                            source, hash: hash, memoryLimitBytes: memoryLimitBytes, observer: run.observer))
                } catch {
                    result = .failure(error)
                }
                contents.withLock { $0 = result }
                run.wakeNoteReader()
            }
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
        let begin = Instant.now
        var lastWord = begin
        var result: Result<ImageContents, StreamFault>?
        while result == nil {
            run.waitForNotes(until: lastWord.adding(seconds: warningSeconds)) { contents.withLock { $0 != nil } }
            result = contents.withLock { $0 }
            for note in run.takeNotes() {
                lastWord = .now
                onEvent(.retry(note))
            }
            guard result == nil, Instant.now.seconds(since: lastWord) >= warningSeconds else { continue }
            lastWord = .now
            let seconds = Int(lastWord.seconds(since: begin))
            onEvent(.warning("\(source.name): still waiting for its metadata after \(seconds) seconds"))
        }
        thread.join()
        guard let result else { throw .cancelled }
        return try result.get()
    }
}
