/// Reports as one self-contained page: tables, and plots as inline SVG.
enum HTMLPage {
    static func text(_ reports: [Report]) -> String {
        let title = reports.count == 1 ? reports[0].title : "stream-disk: measurements"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(escaped(title))</title>
            <style>
            \(style)
            \(Plot.style)
            </style>
            </head>
            <body>
            <h1>\(escaped(title))</h1>
            \(summary(reports))
            \(sections(reports))
            </body>
            </html>

            """
    }

    /// The summary, one row for each scenario: the first variant's median, and how many targets were met.
    private static func summary(_ reports: [Report]) -> String {
        let rows = reports.enumerated().map { index, report in
            let first = report.variants.first?.name ?? ""
            let median = Statistics(report.counted(first).map(\.seconds)).median
            let targets = report.comparisons.filter { !$0.values.isEmpty }.compactMap(\.isMet)
            let met = targets.filter(\.self).count
            let verdict = targets.isEmpty ? "" : "\(met) of \(targets.count)"
            return "<tr><td><a href=\"#\(anchor(report, index))\">\(escaped(report.title))</a><br>\(escaped(first))</td>"
                + "<td>\(fixed(median, 2)) s</td>"
                + "<td\(met < targets.count ? " class=\"missed\"" : "")>\(verdict)</td></tr>"
        }
        return "<div class=\"wide\"><table><thead><tr><th>scenario</th><th>median</th><th>targets met</th></tr></thead><tbody>"
            + rows.joined() + "</tbody></table></div>"
    }

    private static func anchor(_ report: Report, _ index: Int) -> String { "\(report.scenario)-\(index)" }

    private static func sections(_ reports: [Report]) -> String {
        reports.enumerated().map { section($0.element, index: $0.offset) }.joined(separator: "\n")
    }

    private static func section(_ report: Report, index: Int) -> String {
        var parts = [
            "<section id=\"\(anchor(report, index))\">",
            "<h2>\(escaped(report.title))</h2>",
            "<p>\(escaped(report.note))</p>",
            "<figure>\(BarPlot.svg(report))</figure>",
            Table.figures(report).html,
        ]
        if let comparisons = Table.comparisons(report) {
            parts += ["<h3>Compared, round by round</h3>", comparisons.html]
        }
        for variant in report.variants {
            guard let run = report.typical(variant.name) else { continue }
            let name = variant.name
            if let plot = StagePlot.svg(run, title: name), let table = Table.stages(run) {
                parts += [
                    "<h3>Where the time goes: \(escaped(name)), the run nearest to the median</h3>",
                    "<p>Seconds of each stage, summed over its threads: two decoders make up to twice the wall time.</p>",
                    "<figure>\(plot)</figure>", table.html,
                ]
            }
            if let plot = TimelinePlot.svg(run, title: name) {
                parts += ["<h3>Over time: \(escaped(name)), the same run</h3>", "<figure>\(plot)</figure>"]
            }
        }
        parts += ["<details><summary>How it was done</summary>", facts(report), "</details>", "</section>"]
        return parts.joined(separator: "\n")
    }

    private static func facts(_ report: Report) -> String {
        func list(_ entries: [(String, String)]) -> String {
            "<dl>" + entries.map { "<dt>\(escaped($0))</dt><dd>\(escaped($1))</dd>" }.joined() + "</dl>"
        }
        let machine = report.machine
        let rounds = report.measurements.map(\.round).max() ?? 0
        return list(
            [
                ("date", report.date), ("rounds", "\(rounds) after a warm-up, variants in turn"),
                ("revision", machine.revision), ("processor", "\(machine.cpu), \(machine.cores) cores"),
                ("memory", sizeWords(Double(machine.memoryBytes))), ("kernel", machine.kernel),
                ("load before", machine.loadAverage), ("huge pages", machine.transparentHugePages),
            ] + report.settings.sorted { $0.key < $1.key } + machine.versions.sorted { $0.key < $1.key }
                + report.variants.map { ($0.name, $0.text) })
    }

    private static let style = """
        :root { color-scheme: light dark; --text: #1b1f24; --page: #ffffff; --rule: #d0d7de; --soft: #f6f8fa;
          --link: #0060a0; --missed: #a03000; }
        @media (prefers-color-scheme: dark) {
          :root { --text: #e6edf3; --page: #0d1117; --rule: #30363d; --soft: #161b22; --link: #79c0ff; --missed: #ffa657; } }
        body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--text); background: var(--page);
          max-width: 800px; margin: 0 auto; padding: 16px 20px 48px; }
        h1 { font-size: 26px; } h2 { font-size: 21px; margin-top: 44px; border-top: 1px solid var(--rule); padding-top: 20px; }
        h3 { font-size: 16px; margin: 28px 0 8px; } a { color: var(--link); }
        figure { margin: 12px 0; } svg { display: block; width: 100%; max-width: 520px; height: auto; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; width: 100%; }
        th, td { padding: 5px 10px; border-bottom: 1px solid var(--rule); text-align: right; }
        th:first-child, td:first-child { text-align: left; padding-left: 0; min-width: 130px; }
        td + td { white-space: nowrap; } .missed { font-weight: 600; color: var(--missed); }
        th { font-weight: 600; vertical-align: bottom; }
        details { margin: 20px 0; background: var(--soft); padding: 10px 14px; border-radius: 6px; font-size: 14px; }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; } dt { font-weight: 600; max-width: 190px; }
        dd { margin: 0; overflow-wrap: anywhere; }
        @media (max-width: 500px) {
          body { padding: 12px 14px 40px; } table { font-size: 13px; } th, td { padding: 5px 6px; }
          th:first-child, td:first-child { min-width: 96px; }
          dl { display: block; } dt { max-width: none; } dd { margin-bottom: 6px; } }
        """
}
