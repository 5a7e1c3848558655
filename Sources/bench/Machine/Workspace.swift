import FoundationEssentials
import Glibc
import Synchronization

/// Everything this process must clean up: folders, children in process groups of their own, and control groups.
///
/// Loop devices need no entry here: they are detached and their files unlinked as soon as they are open (see `LoopDevice`),
/// so the kernel removes them when this process ends, however it ends.
enum Workspace {
    private struct State {
        var folders: [String] = []
        var groups: Set<pid_t> = []
        var controlGroups: [String] = []
        var isInterrupted = false
    }
    private static let state = Mutex(State())

    /// Makes a folder below `parent`; it is removed at the end.
    static func makeFolder(below folder: String) throws -> String {
        let parent = URL(filePath: folder).standardizedFileURL.path
        var template = Array((parent + "/stream-disk-bench.XXXXXX").utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { area in
            unsafe area.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
        }
        guard made else { throw BenchError("no folder can be made below \(parent)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        state.withLock { $0.folders.append(path) }
        return path
    }

    static func add(group: pid_t) {
        let isLate = state.withLock { state in
            state.groups.insert(group)
            return state.isInterrupted
        }
        // A signal has come since the caller last checked: nothing new may start.
        if isLate { kill(-group, SIGKILL) }
    }

    /// If a signal has started the cleanup, waits for it to end the process: later errors are its effect and are not reported.
    static func yieldToSignal() {
        while state.withLock({ $0.isInterrupted }) { sleep(1) }
    }

    static func remove(group: pid_t) { _ = state.withLock { $0.groups.remove(group) } }

    /// Makes a control group; it is removed at the end. All its members must have ended by then.
    static func makeControlGroup(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        state.withLock { $0.controlGroups.append(path) }
    }

    private static func markInterrupted() { state.withLock { $0.isInterrupted = true } }

    /// Ends the children, and removes folders and control groups.
    static func clean() {
        let (folders, groups, controlGroups) = state.withLock { state in
            defer { (state.folders, state.groups, state.controlGroups) = ([], [], []) }
            return (state.folders, state.groups, state.controlGroups)
        }
        for group in groups {
            kill(-group, SIGKILL)
            waitpid(group, nil, 0)
        }
        // The kernel removes a member from its group shortly after it was waited for.
        for path in controlGroups.reversed() {
            for _ in 0..<100 where unsafe rmdir(path) != 0 && errno == EBUSY { usleep(20_000) }
        }
        for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
    }

    /// From now on SIGINT, SIGTERM and SIGHUP clean up and end the process. Call it before any thread is created.
    static func watchSignals() {
        signal(SIGPIPE, SIG_IGN)
        var watched = endingSignals
        unsafe pthread_sigmask(SIG_BLOCK, &watched, nil)
        var thread = pthread_t()
        unsafe pthread_create(
            &thread, nil,
            { _ in
                var watched = Workspace.endingSignals
                var number: Int32 = 0
                while unsafe sigwait(&watched, &number) != 0 {}
                Workspace.markInterrupted()
                Workspace.clean()
                _exit(128 + number)
            }, nil)
    }

    static var endingSignals: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, number) }
        return signals
    }
}
