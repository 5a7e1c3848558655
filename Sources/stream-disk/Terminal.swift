import ArgumentParser
import Glibc
import StreamDisk

/// What is known of the terminal, and how something is asked there.
enum Terminal {
    /// Someone is there to read a question and to answer it.
    static var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Standard error is a terminal.
    static var isShown: Bool { isatty(STDERR_FILENO) == 1 }

    /// Columns of standard error's terminal; 80 where it does not say.
    static var columns: Int {
        var size = winsize()
        guard unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Asks on standard error; true for the word yes. A cancellation counts as a no.
    static func ask(_ question: String, _ cancellation: Cancellation) -> Bool {
        writeAll(question, to: STDERR_FILENO)
        var answer: [UInt8] = []
        while !cancellation.isCancelled, answer.count < 100 {
            var wanted = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&wanted, 1, 100) > 0 else { continue }
            var byte: UInt8 = 0
            guard unsafe read(STDIN_FILENO, &byte, 1) == 1, byte != UInt8(ascii: "\n") else { break }
            answer.append(byte)
        }
        return String(decoding: answer, as: UTF8.self).lowercased() == "yes"
    }

    /// Writes what was asked for to standard output. A reader that does not get it all must not take it for whole.
    static func result(_ text: String) throws(ExitCode) {
        guard writeAll(text, to: STDOUT_FILENO) else {
            let cause = unsafe String(cString: strerror(errno))
            writeAll("stream-disk: cannot write to standard output: \(cause)\n", to: STDERR_FILENO)
            throw ExitCode(ExitCodes.deviceFailed)
        }
    }

    /// Writes text in full, or as far as the descriptor takes it: then false, with `errno`.
    @discardableResult
    static func writeAll(_ text: String, to descriptor: Int32) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            if written <= 0 { return false }
            bytes = bytes.dropFirst(written)
        }
        return true
    }
}
