/// Rows of words below a header; the first column is text, the others are figures.
struct Table {
    var head: [String]
    var rows: [[String]]

    /// The times and resources of each variant.
    static func figures(_ report: Report) -> Table {
        Table(
            head: ["variant", "median s", "min", "max", "MB/s", "CPU s", "peak MiB"],
            rows: report.variants.map { variant in
                let measurements = report.counted(variant.name)
                let seconds = Statistics(measurements.map(\.seconds))
                let processor = measurements.compactMap(\.cpuSeconds)
                let peak = measurements.compactMap(\.peakMemoryBytes).max()
                return [
                    variant.name, fixed(seconds.median, 3), fixed(seconds.min, 3), fixed(seconds.max, 3),
                    fixed(Statistics(measurements.map(\.rate)).median, 0),
                    processor.isEmpty ? "" : fixed(Statistics(processor).median, 2),
                    peak.map { fixed(Double($0) / 1_048_576, 0) } ?? "",
                ]
            })
    }

    /// The comparisons; nil if nothing was compared.
    static func comparisons(_ report: Report) -> Table? {
        let shown = report.comparisons.filter { !$0.values.isEmpty }
        if shown.isEmpty { return nil }
        return Table(
            head: ["compared", "median", "min", "max", "target", "met"],
            rows: shown.map { comparison in
                let values = Statistics(comparison.values)
                return [
                    comparison.name, "\(shortNumber(comparison.median)) \(comparison.unit)", shortNumber(values.min),
                    shortNumber(values.max), comparison.target?.text ?? "",
                    comparison.isMet.map { $0 ? "yes" : "no" } ?? "",
                ]
            })
    }

    /// Where the time of the library's typical run went; nil if no run has stages.
    static func stages(_ measurement: Measurement) -> Table? {
        guard let stages = measurement.stages, !stages.isEmpty else { return nil }
        return Table(
            head: ["stage", "busy s", "of it CPU", "waiting for input s", "waiting for output s", "MB"],
            rows: stages.map { stage in
                [
                    stage.name, fixed(stage.busySeconds, 3), fixed(stage.cpuSeconds, 3),
                    fixed(stage.waitingForInputSeconds, 3), fixed(stage.waitingForOutputSeconds, 3),
                    fixed(Double(stage.bytes) / 1e6, 0),
                ]
            })
    }

    // MARK: As text

    var text: String {
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        return ([head] + rows).map { row in
            row.indices.map { column in
                let room = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + room : room + row[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    var markdown: String {
        func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
        let rule = head.indices.map { $0 == 0 ? "---" : "--:" }
        return ([line(head), line(rule)] + rows.map { line($0.map { $0.replacing("|", with: "\\|") }) })
            .joined(separator: "\n")
    }

    var html: String {
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(escaped($0))</\(tag)>" }.joined() + "</tr>"
        }
        return "<div class=\"wide\"><table><thead>\(row(head, "th"))</thead><tbody>"
            + rows.map { row($0, "td") }.joined() + "</tbody></table></div>"
    }
}

/// Escapes for HTML and SVG, in text and in attributes.
func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        default: result.append(character)
        }
    }
    return result
}
