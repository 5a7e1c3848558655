import Glibc

/// Texts of `--help` that keep their form at any width. Paragraphs are wrapped by the argument parser.
enum HelpText {
    /// Columns to lay out for: COLUMNS, else those of standard output's terminal, else 80. The argument parser cannot do
    /// with fewer than 40.
    static var columns: Int {
        var columns = unsafe getenv("COLUMNS").flatMap { unsafe Int(String(cString: $0)) } ?? 0
        if columns <= 0 {
            var size = winsize()
            if unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 { columns = Int(size.ws_col) }
        }
        return columns > 0 ? min(max(columns, 40), 120) : 80
    }

    /// Rows of a word and its meaning, the meanings in a column of their own.
    static func table(_ rows: [(String, String)]) -> String {
        let width = (rows.map(\.0.count).max() ?? 0) + 4
        return rows.map { word, meaning in
            let lines = wrapped(meaning, to: columns - 1 - width)
            let label = "  " + word + String(repeating: " ", count: width - 2 - word.count)
            return label + lines.joined(separator: "\n" + String(repeating: " ", count: width))
        }.joined(separator: "\n")
    }

    /// A command to be copied: over several lines where it is too long for one, as a shell takes it.
    static func command(_ text: String) -> String {
        "  " + wrapped(text, to: columns - 1 - 6).joined(separator: " \\\n    ")
    }
}
