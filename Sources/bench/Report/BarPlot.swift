/// The contestants side by side: a bar to the median, a line from end to end, a dot for every run.
enum BarPlot {
    /// What the bars show.
    private struct Measure {
        let words: String
        let digits: Int
        let value: (Run) -> Double?

        init(_ report: Report) {
            if report.scenario == "cpu" {
                (words, digits, value) = ("processor time in seconds, less is better", 2, \.cpuSeconds)
            } else {
                (words, digits, value) = ("MB/s, more is better", 0, \.rate)
            }
        }
    }

    static func svg(_ report: Report) -> String { plot(report, standalone: false) }

    /// The same as a file of its own, with its title.
    static func picture(_ report: Report) -> String { plot(report, standalone: true) }

    private static func plot(_ report: Report, standalone: Bool) -> String {
        let measure = Measure(report)
        let rows = report.contestants.map { contestant in
            (name: contestant.name, values: report.counted(contestant.name).compactMap(measure.value))
        }
        let longest = rows.map { labelled($0.name).count }.max() ?? 0
        let left = min(Double(longest) * Plot.boldCharacterWidth + 24, 330)
        let right = Plot.width - 90
        let top = standalone ? 74.0 : 34.0
        let rowHeight = 38.0
        let ticks = Plot.ticks(upTo: rows.flatMap(\.values).max() ?? 1)
        let scale = (right - left) / (ticks.last ?? 1)
        let bottom = top + rowHeight * Double(rows.count)

        var plot = Plot()
        if standalone {
            plot.text(report.title, 14, 26, style: "strong")
            plot.text(
                "\(measure.words); bar: median of \(rows.first?.values.count ?? 0) rounds, dot: one run", 14, 46,
                style: "quiet")
        } else {
            plot.text("\(measure.words); bar: median, dot: one run", 0, 14, style: "quiet")
        }
        for tick in ticks {
            let x = left + tick * scale
            plot.line([(x, top - 4), (x, bottom)], style: "grid")
            plot.text(shortNumber(tick), x, bottom + 18, anchor: "middle", style: "quiet")
        }
        for (index, row) in rows.enumerated() {
            let y = top + rowHeight * Double(index)
            let values = Statistics(row.values)
            let middle = y + rowHeight / 2 - 2
            plot.text(labelled(row.name), left - 10, middle + 5, anchor: "end", style: index == 0 ? "strong" : "")
            plot.box(
                left, y + 6, values.median * scale, rowHeight - 16, style: index == 0 ? "own" : "other",
                title: "\(row.name): \(fixed(values.median, measure.digits))")
            plot.line([(left + values.min * scale, middle), (left + values.max * scale, middle)], style: "spread")
            for value in row.values {
                plot.add(
                    "<circle class=\"dot\" cx=\"\(Plot.number(left + value * scale))\" cy=\"\(Plot.number(middle))\" r=\"3.5\"/>"
                )
            }
            plot.text(fixed(values.median, measure.digits), right + 14, middle + 5, style: "strong")
        }
        return plot.svg(
            height: bottom + (standalone ? 34 : 26), title: report.title + ": " + measure.words, standalone: standalone)
    }

    /// Long names are cut in the plot; the tables have them whole.
    private static func labelled(_ name: String) -> String { name.count <= 38 ? name : name.prefix(37) + "…" }
}
