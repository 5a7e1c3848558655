import CStreamDisk
import Glibc
import StreamDisk
import Synchronization

/// The object that a `streamdisk *` points to.
final class Handle: Sendable {
    private struct State {
        var settings = Settings()
        var listener: Listener?
        var isRunning = false
        /// Of the running operation, or of the next one if none runs.
        var cancellation = Cancellation()
        var failure: Failure?
        /// How the last operation left its disk; not meaningful while one runs.
        var diskState = StreamError.DiskState.untouched
    }

    /// The result of an operation that succeeded.
    enum Outcome {
        case ran(StreamResult)
        case inspected(ImageContents, isHashCompared: Bool)

        var diskState: StreamError.DiskState {
            if case .ran(let result) = self, result.isWritten { .written } else { .untouched }
        }
    }

    /// Nil if the caller's string is not UTF-8.
    private let image: String?
    private let state = Mutex(State())

    init(image: String?) { self.image = image }

    var failure: Failure? { state.withLock { $0.failure } }

    var diskState: StreamError.DiskState { state.withLock { $0.diskState } }

    func cancel() { state.withLock { $0.cancellation }.cancel() }

    func listen(_ listener: Listener?) { state.withLock { $0.listener = listener } }

    func set(_ name: String?, _ value: String?) -> Int32 {
        state.withLock { state in
            // Keep the last failure: the thread of the running operation may be reading its strings.
            if state.isRunning { return ExitCodes.usage }
            guard let name, let value else {
                return fail(Failure(usage: "an option's name or value is missing, or not UTF-8"), &state)
            }
            state.failure = nil
            return state.settings.set(name, value).map { fail(Failure(usage: $0), &state) } ?? ExitCodes.done
        }
    }

    /// Runs an operation on this thread and returns its exit code; 64 if another operation is running.
    ///
    /// - Parameters:
    ///   - target: the disk, nil if there is none; for the `start` event.
    ///   - regions: the single partitions; for the same event.
    ///   - refusal: why the arguments are not valid; nil if they are.
    ///   - body: does the work; gets the image, the settings, the cancellation and the event callback.
    func run(
        _ verb: String, target: String? = nil, regions: [RegionTarget] = [], refusal: String? = nil,
        _ body: (String, Settings, Cancellation, (StreamEvent) -> Void) throws(StreamError) -> Outcome
    ) -> Int32 {
        let begun = state.withLock { state -> State? in
            if state.isRunning {
                state.failure = .isRunning
                return nil
            }
            state.isRunning = true
            (state.failure, state.diskState) = (nil, .untouched)
            return state
        }
        guard let begun else { return ExitCodes.usage }
        let (failure, diskState) = perform(verb, target, regions, refusal, begun, body)
        return state.withLock { state in
            state.isRunning = false
            state.cancellation = Cancellation()
            (state.failure, state.diskState) = (failure, diskState)
            return failure?.code ?? ExitCodes.done
        }
    }

    private func perform(
        _ verb: String, _ target: String?, _ regions: [RegionTarget], _ refusal: String?, _ begun: State,
        _ body: (String, Settings, Cancellation, (StreamEvent) -> Void) throws(StreamError) -> Outcome
    ) -> (Failure?, StreamError.DiskState) {
        // Covers the first and the last event too, which are sent outside the session.
        let signals = BlockedSignals()
        defer { signals.restore() }
        var events = EventLines(.options)
        func tell(_ lines: [EventLines.Line]) { for line in lines { begun.listener?.call(line.text) } }
        let namesTarget = verb == "stream" && (target != nil || !regions.isEmpty)
        let refusal =
            refusal ?? (image == nil ? "the image's name is not UTF-8" : begun.settings.refusal(namesTarget: namesTarget))
        guard let image, refusal == nil else {
            let failure = Failure(usage: refusal ?? "")
            tell([events.start(verb: nil, options: [:]), events.line(usage: failure.message.text, code: failure.code)])
            return (failure, .untouched)
        }
        let fields: [String: JSONValue] = [
            "image": .text(imageName(image)), "disk": .optional(target),
            "partitions": .list(regions.map { .text("\($0.partition)=\($0.path)") }),
        ]
        tell([events.start(verb: verb, options: begun.settings.fields.adding(fields))])
        do throws(StreamError) {
            let outcome = try body(image, begun.settings, begun.cancellation) { tell(events.lines(of: $0)) }
            switch outcome {
            case .ran(let result): tell(events.lines(completed: result))
            case .inspected(let contents, let isCompared): tell(events.lines(completed: contents, isHashCompared: isCompared))
            }
            return (nil, outcome.diskState)
        } catch {
            let message = error.message(.options)
            tell(events.lines(of: error))
            return (Failure(error, message: message), error.disk)
        }
    }

    private func fail(_ failure: Failure, _ state: inout State) -> Int32 {
        state.failure = failure
        return failure.code
    }
}

/// The caller's event callback and its `user` pointer.
@safe
struct Listener: @unchecked Sendable {
    // SAFETY of Sendable: the pointer is never dereferenced here, only passed back on the operation's thread.
    let function: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int) -> Void
    let user: UnsafeMutableRawPointer?

    init(
        function: @escaping @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int) -> Void,
        user: UnsafeMutableRawPointer?
    ) {
        unsafe (self.function, self.user) = (function, user)
    }

    func call(_ text: String) {
        // SAFETY: the bytes live for the call, and the contract forbids keeping them.
        unsafe text.withCString { unsafe function(user, $0, text.utf8.count) }
    }
}

/// Why a call failed, for the error functions of streamdisk.h.
struct Failure: Sendable {
    let code: Int32
    let kind: CText
    let message: CText
    let offset: Int64

    init(usage message: String) {
        (code, kind, self.message, offset) = (ExitCodes.usage, CText("usage"), CText(message), -1)
    }

    init(_ error: StreamError, message: String) {
        (code, kind, self.message) = (error.code, CText(error.kind), CText(message))
        offset = error.offset.flatMap { Int64(exactly: $0) } ?? -1
    }

    /// Static, so that its strings stay valid if the running operation ends and replaces this failure while a caller reads it.
    static let isRunning = Failure(usage: "another operation runs on this handle: wait for it, or make a handle for this one")
    static let none = CText("")
}

extension StreamError.DiskState {
    private static let texts = Dictionary(
        uniqueKeysWithValues: [Self.untouched, .withoutTable, .uncertain, .written].map { ($0, CText($0.rawValue)) })

    /// For C; valid as long as the process. A disk that was only read counts as untouched.
    var text: CText { Self.texts[self == .onlyRead ? .untouched : self] ?? Failure.none }
}

/// A string for C, valid as long as this object.
@safe
final class CText: @unchecked Sendable {
    // SAFETY of Sendable: never written after init. Null if memory ran out.
    let pointer: UnsafeMutablePointer<CChar>?
    let text: String

    init(_ text: String) {
        self.text = text
        unsafe pointer = strdup(text)
    }

    deinit { unsafe free(pointer) }
}
