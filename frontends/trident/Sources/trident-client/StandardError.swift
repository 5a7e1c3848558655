import Glibc
import Synchronization
import TridentProtocol

/// All that this program says. A reader that does not read is waited for once, and then no more.
enum StandardError {
    enum Level: String {
        case error = "ERROR"
        case warning = "WARN"
        case info = "INFO"
        case debug = "DEBUG"
        case trace = "TRACE"

        /// Nil for a level that has no name.
        init?(_ level: Trident_V1_LogLevel) {
            switch level {
            case .error: self = .error
            case .warn: self = .warning
            case .info: self = .info
            case .debug: self = .debug
            case .trace: self = .trace
            case .unspecified, .UNRECOGNIZED: return nil
            }
        }
    }

    private static let patienceMilliseconds: Int32 = 5000
    /// The daemon's words are cut at this; one log line is far below it.
    private static let scalarsMax = 16 << 10
    private static let isDeaf = Atomic(false)

    static func say(level: Level, target: String = "trident", _ message: String) {
        say("[\(level.rawValue) \(printable(target))] \(printable(message))")
    }

    /// As it is, with a line end.
    static func say(_ text: String) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty, !isDeaf.load(ordering: .relaxed) {
            // A pipe that is ready takes that many bytes without blocking (pipe(7), PIPE_BUF).
            let piece = rest.prefix(4096)
            var ready = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
            let isReady = unsafe poll(&ready, 1, patienceMilliseconds) == 1
            // SAFETY: write reads the piece, within its bounds, for the time of the call.
            let count = isReady ? unsafe piece.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) } : -1
            if count > 0 { rest = rest.dropFirst(count) } else { isDeaf.store(true, ordering: .relaxed) }
        }
    }

    /// What comes from the daemon cannot drive the terminal; lines of a report stay lines.
    private static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(scalarsMax) {
            switch scalar.properties.generalCategory {
            case .control where scalar == "\n": result += "\n"
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
