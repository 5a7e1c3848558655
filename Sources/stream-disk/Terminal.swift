import ArgumentParser
import CosiFormat
import Glibc
import StreamDisk

/// The properties of the terminal, and the functions that ask a question and print a result.
enum Terminal {
    /// Whether a person can read a question and answer it.
    static var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Whether standard error is a terminal that can redraw a line.
    static var canRedraw: Bool {
        guard isatty(STDERR_FILENO) == 1, let name = unsafe getenv("TERM") else { return false }
        return unsafe !["", "dumb"].contains(String(cString: name))
    }

    /// The width of standard error's terminal; nil if it is not a terminal.
    static var errorColumns: Int? { isatty(STDERR_FILENO) == 1 ? columns : nil }

    /// The width of standard error's terminal; 80 if unknown.
    static var columns: Int {
        var size = winsize()
        guard unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The width of standard output's terminal; nil if it is not a terminal, and then each row is one line.
    static var outputColumns: Int? {
        var size = winsize()
        guard isatty(STDOUT_FILENO) == 1, unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
        return size.ws_col > 0 ? Int(size.ws_col) : nil
    }

    /// Asks on standard error; true if the answer is yes. A cancellation counts as no.
    static func ask(_ question: String, on display: ProgressDisplay, _ cancellation: Cancellation) -> Bool {
        display.question(question)
        var answer: [UInt8] = []
        while !cancellation.isCancelled, answer.count < 100 {
            var wanted = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&wanted, 1, 100) > 0 else { continue }
            var byte: UInt8 = 0
            guard unsafe read(STDIN_FILENO, &byte, 1) == 1 else { break }
            // The terminal has already echoed the newline.
            if byte == UInt8(ascii: "\n") { return String(decoding: answer, as: UTF8.self).lowercased() == "yes" }
            answer.append(byte)
        }
        display.line("")
        return false
    }

    /// Writes a result to standard output, and waits for its reader until a signal comes. A reader that does not get all of it
    /// must be able to tell.
    ///
    /// - Parameter signals: nil if signals end the process directly.
    static func result(_ lines: [String], _ signals: SignalWatch? = nil) throws(ExitCode) {
        try result(raw: text(lines), signals)
    }

    /// The same for JSON, which is already escaped.
    static func result(_ json: String, _ signals: SignalWatch? = nil) throws(ExitCode) {
        try result(raw: json, signals)
    }

    /// Writes an optional line to standard output: waits only a moment, and the run succeeds even if nobody reads it.
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

    /// Prints a note on standard error that does not affect the run.
    static func note(_ text: String) {
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        display.line("note: \(text)")
        display.end(nil)
    }

    /// Prints on standard error why the program ends with this code.
    static func failure(_ text: String, _ code: Int32) -> ExitCode {
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        display.error(text)
        display.end(nil)
        return ExitCode(code)
    }
}
