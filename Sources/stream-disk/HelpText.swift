import Glibc

/// Texts of `--help` with a fixed layout. The argument parser wraps all other paragraphs.
enum HelpText {
    /// The width to lay out for: COLUMNS, else the width of the terminal on standard output, else 80. At least 40, because the
    /// argument parser needs that many.
    static var columns: Int {
        var columns = unsafe getenv("COLUMNS").flatMap { unsafe Int(String(cString: $0)) } ?? 0
        if columns <= 0 {
            var size = winsize()
            if unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 { columns = Int(size.ws_col) }
        }
        return columns > 0 ? min(max(columns, 40), 120) : 80
    }

    /// Rows of a word and its meaning, with the meanings in a column of their own.
    static func table(_ rows: [(String, String)]) -> String {
        let width = (rows.map(\.0.count).max() ?? 0) + 4
        return rows.map { word, meaning in
            let lines = wrapped(meaning, to: columns - 1 - width)
            let label = "  " + word + String(repeating: " ", count: width - 2 - word.count)
            return label + lines.joined(separator: "\n" + String(repeating: " ", count: width))
        }.joined(separator: "\n")
    }

    /// A command to copy: if it is too long for one line, it is split as a shell accepts it.
    static func command(_ text: String) -> String {
        "  " + wrapped(text, to: columns - 1 - 6).joined(separator: " \\\n    ")
    }
}
