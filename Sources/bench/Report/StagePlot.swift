/// Where the time of one run went: one bar for each stage, with busy, waiting for input and waiting for output.
enum StagePlot {
    /// For a stage of several threads, their sum.
    static func svg(_ measurement: Measurement, title: String) -> String? {
        guard let stages = measurement.stages, !stages.isEmpty else { return nil }
        var plot = Plot()
        let left = 62.0
        let right = plot.width - 24
        let top =
            8
            + plot.legend(
                [("one", "busy"), ("two", "waiting for input"), ("three", "waiting for output")], y: 0)
        let rowHeight = 34.0
        let total = stages.map { $0.busySeconds + $0.waitingForInputSeconds + $0.waitingForOutputSeconds }.max() ?? 1
        let ticks = Plot.ticks(upTo: total)
        let scale = (right - left) / (ticks.last ?? 1)
        let bottom = top + rowHeight * Double(stages.count)

        for tick in ticks {
            let x = left + tick * scale
            plot.line([(x, top - 4), (x, bottom)], style: "grid")
            plot.text("\(shortNumber(tick)) s", x, bottom + 18, anchor: "middle", style: "quiet")
        }
        for (index, stage) in stages.enumerated() {
            let y = top + rowHeight * Double(index)
            plot.text(stage.name, left - 10, y + 20, anchor: "end")
            var x = left
            for (style, seconds, what) in [
                ("one", stage.busySeconds, "busy"), ("two", stage.waitingForInputSeconds, "waiting for input"),
                ("three", stage.waitingForOutputSeconds, "waiting for output"),
            ] {
                plot.box(
                    x, y + 4, seconds * scale, rowHeight - 10, style: style, title: "\(what): \(fixed(seconds, 3)) s")
                x += seconds * scale
            }
        }
        return plot.svg(height: bottom + 26, title: "Time per stage: " + title)
    }
}
