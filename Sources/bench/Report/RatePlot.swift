/// Rates side by side: a bar to the median, a line from the slowest to the fastest, a dot for every run.
enum RatePlot {
    static func svg(_ report: Report) -> String { plot(report, standalone: false) }

    /// The same as a file of its own, with its title.
    static func picture(_ report: Report) -> String { plot(report, standalone: true) }

    private static func plot(_ report: Report, standalone: Bool) -> String {
        let rows = report.contestants.map { contestant in
            (name: contestant.name, rates: report.counted(contestant.name).map(\.rate))
        }
        let longest = rows.map { labelled($0.name).count }.max() ?? 0
        let left = min(Double(longest) * Plot.characterWidth + 16, 300)
        let right = Plot.width - 90
        let top = standalone ? 74.0 : 34.0
        let rowHeight = 38.0
        let ticks = Plot.ticks(upTo: rows.flatMap(\.rates).max() ?? 1)
        let scale = (right - left) / (ticks.last ?? 1)
        let bottom = top + rowHeight * Double(rows.count)

        var plot = Plot()
        if standalone {
            plot.text(report.title, 14, 26, style: "strong")
            plot.text(
                "MB/s, more is better; bar: median of \(rows.first?.rates.count ?? 0) rounds, dot: one run", 14, 46,
                style: "quiet")
        } else {
            plot.text("MB/s, more is better; bar: median, line: slowest to fastest, dot: one run", 0, 14, style: "quiet")
        }
        for tick in ticks {
            let x = left + tick * scale
            plot.line([(x, top - 4), (x, bottom)], style: "grid")
            plot.text(shortNumber(tick), x, bottom + 18, anchor: "middle", style: "quiet")
        }
        for (index, row) in rows.enumerated() {
            let y = top + rowHeight * Double(index)
            let rates = Statistics(row.rates)
            let middle = y + rowHeight / 2 - 2
            plot.text(labelled(row.name), left - 10, middle + 5, anchor: "end", style: index == 0 ? "strong" : "")
            plot.box(
                left, y + 6, rates.median * scale, rowHeight - 16, style: index == 0 ? "own" : "other",
                title: "\(row.name): \(fixed(rates.median, 0)) MB/s")
            plot.line([(left + rates.min * scale, middle), (left + rates.max * scale, middle)], style: "spread")
            for rate in row.rates {
                plot.add(
                    "<circle class=\"dot\" cx=\"\(Plot.number(left + rate * scale))\" cy=\"\(Plot.number(middle))\" r=\"3.5\"/>")
            }
            plot.text(fixed(rates.median, 0), right + 14, middle + 5, style: "strong")
        }
        return plot.svg(height: bottom + (standalone ? 34 : 26), title: "Rates: " + report.title, standalone: standalone)
    }

    /// Long names are cut in the plot; the tables have them whole.
    private static func labelled(_ name: String) -> String { name.count <= 38 ? name : name.prefix(37) + "…" }
}
