import CosiFormat
import Dispatch
import Glibc
import Synchronization
import TridentProtocol

/// A line of the log, as a client shows it and as standard error gets it.
struct LogLine: Sendable {
    let level: Trident_V1_LogLevel
    let text: String
    /// The part of the program that speaks.
    let module: String
    /// The program or the library: what filters go by.
    let target: String
    let path: String
    let line: Int

    static let daemon = "stream_diskd"
    static let library = "stream_disk"

    /// - Parameter part: of the target, which speaks; nil for the file that calls.
    init(
        _ level: Trident_V1_LogLevel, _ text: String, target: String = daemon, part: String? = nil, path: String = #fileID,
        line: Int = #line
    ) {
        self.level = level
        // Parts of it come from outside, and a terminal must not do what they say.
        self.text = printable(text, scalarsMax: .max)
        let file = path.split(separator: "/").last?.split(separator: ".").first.map(String.init) ?? ""
        module = "\(target)::\(part ?? file)"
        self.target = target
        self.path = path
        self.line = line
    }

    var message: Trident_V1_Log {
        var log = Trident_V1_Log()
        log.level = level
        log.message = text
        log.module = module
        log.target = target
        log.location = .with {
            $0.path = path
            $0.line = UInt32(clamping: line)
        }
        return log
    }

    fileprivate var levelName: String {
        switch level {
        case .error: "ERROR"
        case .warn: "WARN"
        case .debug: "DEBUG"
        case .trace: "TRACE"
        case .info, .unspecified, .UNRECOGNIZED: "INFO"
        }
    }

    /// The number by which the journal knows the level (sd-daemon(3)).
    fileprivate var priority: Int {
        switch level {
        case .error: 3
        case .warn: 4
        case .debug, .trace: 7
        case .info, .unspecified, .UNRECOGNIZED: 6
        }
    }
}

/// The daemon's lines on standard error. A queue of its own writes them: whoever has something to say never waits for a reader.
final class DaemonLog: Sendable {
    /// So many lines may wait; more are dropped.
    private static let linesMax = 1000
    /// So long the last lines are waited for.
    private static let patienceSeconds = 2.0

    private let queue = DispatchQueue(label: "stream-diskd.log")
    private let group = DispatchGroup()
    private let waiting = Atomic<Int>(0)
    private let dropped = Atomic<Int>(0)
    private let isJournal: Bool

    init() {
        // Device and inode of the journal's socket (systemd.exec(5)); a child's standard error may be another file.
        var status = stat()
        // SAFETY: nothing changes the environment after the start.
        if let journal = unsafe getenv("JOURNAL_STREAM"), unsafe fstat(STDERR_FILENO, &status) == 0 {
            isJournal = unsafe String(cString: journal) == "\(status.st_dev):\(status.st_ino)"
        } else {
            isJournal = false
        }
    }

    func info(_ text: String, path: String = #fileID, line: Int = #line) { write(LogLine(.info, text, path: path, line: line)) }

    func error(_ text: String, path: String = #fileID, line: Int = #line) { write(LogLine(.error, text, path: path, line: line)) }

    func write(_ line: LogLine) {
        guard waiting.add(1, ordering: .relaxed).oldValue < Self.linesMax else {
            waiting.subtract(1, ordering: .relaxed)
            dropped.add(1, ordering: .relaxed)
            return
        }
        let text = (isJournal ? "<\(line.priority)>" : "[\(line.levelName) \(line.module)] ") + line.text
        queue.async(group: group) { [self] in
            Self.print(text)
            waiting.subtract(1, ordering: .relaxed)
            let lost = dropped.exchange(0, ordering: .relaxed)
            if lost > 0 { Self.print("(\(lost) lines were not read in time and are left out)") }
        }
    }

    /// Waits a moment for what was said.
    func end() { _ = group.wait(timeout: .now() + Self.patienceSeconds) }

    /// Writes a line now, however long that takes.
    static func print(_ line: String) {
        var bytes = Array((line + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count > 0 {
                bytes = bytes.dropFirst(count)
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var wanted = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
                unsafe poll(&wanted, 1, 1000)
            // Nobody reads, and nobody can be told.
            default: return
            }
        }
    }
}
