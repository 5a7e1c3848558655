/// The variants side by side: a bar up to the median, a line from minimum to maximum, a dot for every run.
enum BarPlot {
    /// The quantity that the bars show.
    private struct Measure {
        let words: String
        let digits: Int
        let value: (Measurement) -> Double?

        init(_ report: Report) {
            if report.scenario == "cpu" {
                (words, digits, value) = ("processor seconds, less is better", 2, \.cpuSeconds)
            } else {
                (words, digits, value) = ("MB/s, more is better", 0, \.rate)
            }
        }
    }

    static func svg(_ report: Report) -> String { plot(report, standalone: false) }

    /// The same as a standalone file, with its title.
    static func picture(_ report: Report) -> String { plot(report, standalone: true) }

    private static func plot(_ report: Report, standalone: Bool) -> String {
        let measure = Measure(report)
        let rows = report.variants.map { variant in
            (name: variant.name, values: report.counted(variant.name).compactMap(measure.value))
        }
        var plot = Plot(width: standalone ? Plot.pictureWidth : Plot.pageWidth)
        let left = standalone ? 14.0 : 0
        let right = plot.width - 60
        let top = standalone ? 66.0 : 30.0
        // A line for the name, and the bar below it.
        let rowHeight = 46.0
        let ticks = Plot.ticks(upTo: rows.flatMap(\.values).max() ?? 1)
        let scale = (right - left) / (ticks.last ?? 1)
        let bottom = top + rowHeight * Double(rows.count)

        if standalone {
            plot.text(report.title, left, 26, style: "strong")
            plot.text(
                "\(measure.words); bar: median of \(rows.first?.values.count ?? 0) rounds, dot: one run", left, 46,
                style: "quiet")
        } else {
            plot.text("\(measure.words); bar: median, dot: one run", left, 14, style: "quiet")
        }
        for tick in ticks {
            let x = left + tick * scale
            plot.line([(x, top), (x, bottom)], style: "grid")
            plot.text(shortNumber(tick), x, bottom + 18, anchor: tick == 0 ? "start" : "middle", style: "quiet")
        }
        for (index, row) in rows.enumerated() {
            let y = top + rowHeight * Double(index)
            let values = Statistics(row.values)
            let middle = y + 32
            plot.text(shortened(row.name, to: right - left), left, y + 17, style: index == 0 ? "strong" : "")
            plot.box(
                left, middle - 9, values.median * scale, 18, style: index == 0 ? "own" : "other",
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

    /// Long names are cut in the plot; the tables show them whole.
    private static func shortened(_ name: String, to width: Double) -> String {
        let most = Int(width / Plot.boldCharacterWidth)
        return name.count <= most ? name : name.prefix(most - 1) + "…"
    }
}
