import CosiFormat

/// Columns as wide as their widest cell. Cells are escaped before they are measured.
struct Table {
    /// The minimum width of a last column beside the others.
    private static let lastColumnMin = 24

    private var rows: [[String]]

    init(_ header: [String]) { rows = [header] }

    mutating func add(_ row: [String]) { rows.append(row.map { printable($0) }) }

    /// Lays out a header and the rows.
    ///
    /// - Parameter columns: the width to fit. A last cell that is too long is wrapped in its column, or printed below its row
    ///   if the column is too narrow. Nil if there is no limit: each row is one line.
    func lines(columns: Int? = nil) -> [String] {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.flatMap { row in
            guard let last = row.last else { return [""] }
            let first = zip(row.dropLast(), widths).map { $0 + String(repeating: " ", count: $1 + 2 - $0.count) }.joined()
            guard let columns, first.count + last.count > columns else { return [first + last] }
            let room = columns - first.count
            let indent = room >= Self.lastColumnMin ? first.count : 4
            let parts = wrapped(last, to: max(columns - indent, 1)).map { String(repeating: " ", count: indent) + $0 }
            return indent == 4 ? [first] + parts : [first + parts[0].dropFirst(indent)] + parts.dropFirst()
        }.map { line in String(line.reversed().drop { $0 == " " }.reversed()) }
    }
}

/// The lines of a wrapped text, broken between words; a word that is too long gets a line of its own. Never empty.
func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
        if let last = lines.last, last.count + 1 + word.count <= width {
            lines[lines.count - 1] = last + " " + word
        } else {
            lines.append(String(word))
        }
    }
    return lines.isEmpty ? [""] : lines
}
