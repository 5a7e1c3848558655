/// Throughput and queue depth of one run over time, one above the other.
enum TimelinePlot {
    private struct Series {
        let name: String
        let style: String
        let points: [(seconds: Double, value: Double)]
    }

    static func svg(_ measurement: Measurement, title: String) -> String? {
        guard let samples = measurement.timeline, let end = samples.last?.seconds, samples.count > 3, end > 0 else {
            return nil
        }
        let rates = [
            Series(name: "fetched", style: "two", points: rate(samples, \.fetchedBytes)),
            Series(name: "decoded", style: "one", points: rate(samples, \.decodedBytes)),
            Series(name: "written", style: "three", points: rate(samples, \.writtenBytes)),
        ].filter { series in series.points.contains { $0.value > 0 } }
        func mebibytes(_ bytes: KeyPath<Measurement.Sample, Int>) -> [(seconds: Double, value: Double)] {
            samples.map { ($0.seconds, Double($0[keyPath: bytes]) / 1_048_576) }
        }
        let depths = [
            Series(name: "fetched, waiting for the decoder", style: "two", points: mebibytes(\.waitingBytes)),
            Series(name: "being written", style: "three", points: mebibytes(\.bytesInFlight)),
        ].filter { series in series.points.contains { $0.value > 0 } }
        var plot = Plot()
        var y = 0.0
        for (words, series) in [("MB/s", rates), ("MiB in queues", depths)] where !series.isEmpty {
            y = panel(&plot, words, series, end: end, top: y) + 18
        }
        return plot.svg(height: y, title: "Over time: " + title)
    }

    /// Returns the position where it ends.
    private static func panel(
        _ plot: inout Plot, _ words: String, _ all: [Series], end: Double, top: Double
    ) -> Double {
        let left = 62.0
        let right = plot.width - 24
        plot.text(words, 0, top + 14, style: "quiet")
        let high = top + 26 + plot.legend(all.map { ($0.style, $0.name) }, y: top + 20)
        let low = high + 140
        let ticks = Plot.ticks(upTo: all.flatMap { $0.points.map(\.value) }.max() ?? 1, count: 4)
        let largest = ticks.last ?? 1
        for tick in ticks {
            let y = low - tick / largest * (low - high)
            plot.line([(left, y), (right, y)], style: "grid")
            plot.text(shortNumber(tick), left - 10, y + 4, anchor: "end", style: "quiet")
        }
        let times = Plot.ticks(upTo: end, count: 5).filter { $0 <= end }
        for time in times {
            let x = left + time / end * (right - left)
            plot.text("\(shortNumber(time)) s", x, low + 18, anchor: "middle", style: "quiet")
        }
        for series in all {
            let points = series.points.map { point in
                (left + point.seconds / end * (right - left), low - point.value / largest * (low - high))
            }
            plot.line(points, style: "line-" + series.style)
        }
        return low + 24
    }

    /// MB/s between samples far enough apart that single requests do not show.
    private static func rate(
        _ samples: [Measurement.Sample], _ bytes: KeyPath<Measurement.Sample, UInt64>
    ) -> [(seconds: Double, value: Double)] {
        guard var last = samples.first, let end = samples.last?.seconds else { return [] }
        let step = max(0.05, end / 60)
        var points: [(seconds: Double, value: Double)] = []
        for sample in samples where sample.seconds - last.seconds >= step {
            let moved = Double(sample[keyPath: bytes]) - Double(last[keyPath: bytes])
            points.append(((sample.seconds + last.seconds) / 2, moved / (sample.seconds - last.seconds) / 1e6))
            last = sample
        }
        return points
    }
}
