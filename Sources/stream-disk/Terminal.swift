import ArgumentParser
import CosiFormat
import Glibc
import StreamDisk

/// What is known of the terminal, how something is asked there, and how results are written.
enum Terminal {
    /// Someone is there to read a question and to answer it.
    static var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Standard error is a terminal that can draw a line anew.
    static var canRedraw: Bool {
        guard isatty(STDERR_FILENO) == 1, let name = unsafe getenv("TERM") else { return false }
        return unsafe !["", "dumb"].contains(String(cString: name))
    }

    /// Columns of standard error's terminal; nil where it is none.
    static var errorColumns: Int? { isatty(STDERR_FILENO) == 1 ? columns : nil }

    /// Columns of standard error's terminal; 80 where it does not say.
    static var columns: Int {
        var size = winsize()
        guard unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Columns of standard output's terminal; nil where it is none, and each row is one line.
    static var outputColumns: Int? {
        var size = winsize()
        guard isatty(STDOUT_FILENO) == 1, unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
        return size.ws_col > 0 ? Int(size.ws_col) : nil
    }

    /// Asks on standard error; true for the word yes. A cancellation counts as a no.
    static func ask(_ question: String, on display: ProgressDisplay, _ cancellation: Cancellation) -> Bool {
        display.question(question)
        var answer: [UInt8] = []
        while !cancellation.isCancelled, answer.count < 100 {
            var wanted = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&wanted, 1, 100) > 0 else { continue }
            var byte: UInt8 = 0
            guard unsafe read(STDIN_FILENO, &byte, 1) == 1 else { break }
            // The terminal has shown the newline too.
            if byte == UInt8(ascii: "\n") { return String(decoding: answer, as: UTF8.self).lowercased() == "yes" }
            answer.append(byte)
        }
        display.line("")
        return false
    }

    /// Writes what was asked for to standard output, and waits for its reader until a signal comes. A reader that does not get
    /// it all must not take it for whole.
    ///
    /// - Parameter signals: nil where signals end the process by themselves.
    static func result(_ lines: [String], _ signals: SignalWatch? = nil) throws(ExitCode) {
        try result(raw: text(lines), signals)
    }

    /// The same for JSON, which is escaped already.
    static func result(_ json: String, _ signals: SignalWatch? = nil) throws(ExitCode) {
        try result(raw: json, signals)
    }

    /// Writes a line to standard output that nobody must have read for the run to be a success: waits a moment only.
    ///
    /// - Returns: why it could not be written, or nil.
    static func summary(_ lines: [String], until deadline: Instant) -> String? {
        let writer = LineWriter(descriptor: STDOUT_FILENO)
        writer.send(text(lines), .vital)
        guard case .failed(let code) = writer.flush(until: max(deadline, .after(seconds: 0.5))) else { return nil }
        return "cannot write to standard output: \(SystemError(code))"
    }

    private static func text(_ lines: [String]) -> String { lines.map { printable($0, scalarsMax: .max) + "\n" }.joined() }

    private static func result(raw text: String, _ signals: SignalWatch?) throws(ExitCode) {
        let writer = LineWriter(descriptor: STDOUT_FILENO)
        writer.send(text, .vital)
        switch writer.flush(until: nil, unless: signals?.cancellation) {
        case .delivered: return
        case .failed(let code):
            throw failure("cannot write to standard output: \(SystemError(code))", ExitCodes.deviceFailed)
        case .gaveUp:
            let words = signals?.words ?? "interrupted"
            throw failure(
                "\(words) before all of the result was read", signals?.exitCode(for: .cancelled) ?? ExitCodes.interrupted)
        }
    }

    /// Says something on standard error that changes nothing.
    static func note(_ text: String) {
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        display.line("note: \(text)")
        display.end(nil)
    }

    /// Says on standard error why the program ends with this code.
    static func failure(_ text: String, _ code: Int32) -> ExitCode {
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        display.error(text)
        display.end(nil)
        return ExitCode(code)
    }
}
