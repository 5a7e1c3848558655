import Glibc
import StreamDisk

/// Writes lines to one descriptor on a thread of its own, so that a sender never waits for the reader.
///
/// Lines are written whole and in the order they were sent, on blocking and non-blocking descriptors alike. The queue is
/// bounded (`LineQueue`). Nothing more is written to a descriptor that failed (its reader went away, its disk is full).
final class LineWriter: Sendable {
    typealias Kind = LineQueue.Kind

    enum Outcome: Equatable {
        case delivered
        /// The descriptor failed, with this errno.
        case failed(Int32)
        /// The reader did not take everything in time.
        case gaveUp
    }

    private struct State {
        var waiting = LineQueue()
        var isWriting = false
        var failure: Int32?
        var isEnded = false
        var hasThread = true

        var isIdle: Bool { failure != nil || waiting.isEmpty && !isWriting }
    }

    private let descriptor: Int32
    private let redraws: Bool
    private let dropped: @Sendable (_ count: Int, _ seconds: Double) -> String
    private let state = Monitor(State())

    /// - Parameters:
    ///   - redraws: `.progress` is a line without a newline that the next one overwrites, on a terminal.
    ///   - dropped: makes the line that says how many were dropped, and when the last of them was sent.
    init(
        descriptor: Int32, redraws: Bool = false,
        dropped: @escaping @Sendable (_ count: Int, _ seconds: Double) -> String = { count, _ in
            "(\(count) lines were not read in time and are left out)\n"
        }
    ) {
        self.descriptor = descriptor
        self.redraws = redraws
        self.dropped = dropped
        do throws(SystemError) {
            _ = try WorkerThread(name: "sd-write-\(descriptor)") { self.writeAll() }
        } catch {
            // Without a thread for this, the host has none for the run either; only the error is still to be written.
            state.withLock { $0.hasThread = false }
        }
    }

    /// Sends a line, with its newline. Never blocks.
    ///
    /// - Parameter seconds: the time of sending, for the line that reports dropped lines.
    func send(_ text: String, _ kind: Kind, seconds: Double = 0) {
        let hasThread = state.mutateAndNotify { state in
            guard state.failure == nil, !state.isEnded, state.hasThread else { return state.hasThread }
            state.waiting.append(text, kind, seconds: seconds)
            return true
        }
        if !hasThread, let failure = write(text) { state.withLock { $0.failure = failure } }
    }

    /// Erases the live line, if there is one.
    func clear() {
        guard redraws else { return }
        state.mutateAndNotify { state in
            guard state.failure == nil, !state.isEnded, state.hasThread else { return }
            state.waiting.dropProgress()
            state.waiting.append("", .vital, seconds: 0)
        }
    }

    /// Waits until everything sent has been written, unless the descriptor failed. Ends early at `deadline`, if there is one, and
    /// on cancellation.
    func flush(until deadline: Instant?, unless cancellation: Cancellation? = nil) -> Outcome {
        let isOver: (inout State) -> Bool? = { state in state.isIdle || cancellation?.isCancelled == true ? true : nil }
        let wait = {
            if let deadline {
                _ = self.state.wait(until: deadline, isOver)
            } else {
                _ = self.state.wait(isOver)
            }
        }
        if let cancellation {
            cancellation.withHandler({ [state] in state.mutateAndNotify { _ in } }, wait)
        } else {
            wait()
        }
        return state.withLock { state in
            if let failure = state.failure { return .failed(failure) }
            return state.isIdle ? .delivered : .gaveUp
        }
    }

    /// Ends the thread once it has written what waits; lines sent after this are ignored.
    func end() { state.mutateAndNotify { $0.isEnded = true } }

    // MARK: The thread

    private func writeAll() {
        var isLive = false
        while let entry = next() {
            var text = entry.droppedCount > 0 ? dropped(entry.droppedCount, entry.seconds) : entry.text
            if redraws {
                // One write, so that nothing is printed between the two.
                if isLive || entry.kind == .progress { text = "\r\u{1b}[K" + text }
                isLive = entry.kind == .progress
            }
            let failure = write(text)
            state.mutateAndNotify { state in
                state.isWriting = false
                guard let failure else { return }
                state.failure = failure
                state.waiting = LineQueue()
            }
        }
    }

    private func next() -> LineQueue.Entry? {
        state.wait { (state: inout State) -> LineQueue.Entry?? in
            if state.failure != nil { return .some(nil) }
            guard let entry = state.waiting.removeFirst() else { return state.isEnded ? .some(nil) : nil }
            state.isWriting = true
            return entry
        }
    }

    /// Writes everything, however long it takes. Returns the errno of a descriptor that failed.
    private func write(_ text: String) -> Int32? {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                bytes = bytes.dropFirst(count)
                continue
            }
            let failure = count == 0 ? EAGAIN : errno
            switch failure {
            case EINTR: continue
            case EAGAIN:
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                // Some descriptors report room and then refuse a write, so do not retry too often.
                if unsafe poll(&wanted, 1, 1000) != 0 { usleep(1000) }
            default: return failure
            }
        }
        return nil
    }
}
