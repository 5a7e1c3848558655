import Foundation
import Testing

@testable import bench

// Foundation has one, too.
private typealias Measurement = bench.Measurement

@Suite("What bench writes")
struct PageTests {
    private static let alternative = "a alternative|with a name that is longer than any plot has room for"

    private static func own(_ round: Int) -> Measurement {
        let stage = Measurement.Stage(
            name: "decode", bytes: 1_000_000_000, busySeconds: 0.5, cpuSeconds: 0.4, waitingForInputSeconds: 0.2,
            waitingForOutputSeconds: 0.3)
        let timeline = (0...20).map { (step: Int) -> Measurement.Sample in
            let bytes = UInt64(step) * 1_000_000
            return Measurement.Sample(
                seconds: Double(step) / 20, fetchedBytes: bytes, decodedBytes: 3 * bytes, writtenBytes: 3 * bytes,
                waitingBytes: 1_000_000, bytesInFlight: step * 100_000)
        }
        return Measurement(
            variant: "one", round: round, seconds: 1 + Double(round) / 10, bytes: 1_000_000_000, userSeconds: 1,
            systemSeconds: 0.5, peakMemoryBytes: 1 << 27, stages: [stage], timeline: timeline)
    }

    static let report: Report = {
        let machine = Machine(
            cpu: "A processor", cores: 2, memoryBytes: 1 << 33, kernel: "Linux 6.1", loadAverage: "0 0 0",
            transparentHugePages: "madvise", versions: ["zstd": "1.5.4"], revision: "abc")
        var measurements: [Measurement] = []
        for round in 0...3 {
            measurements.append(own(round))
            measurements.append(Measurement(variant: alternative, round: round, seconds: 3, bytes: 1_000_000_000))
        }
        return Report(
            scenario: "stream", title: "A <title> & \"more\"", note: "A note.", date: "2026-01-01T00:00:00Z",
            machine: machine, settings: ["device": "loop"],
            variants: [.init(name: "one", text: "first"), .init(name: alternative, text: "second")], measurements: measurements,
            comparisons: [Comparison(name: "speed", unit: "×", values: [2.7, 2.5, 2.3], target: .init(atLeast: 2))])
    }()

    @Test("A report that was written with its timelines is read back unchanged")
    func roundTrip() throws {
        let path = NSTemporaryDirectory() + "stream-disk-report-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var report = Self.report
        report.scans = [Self.own(1)]
        try ReportFile.writeWithTimelines(report, to: path)
        #expect(try ReportFile.read(path) == report)
    }

    @Test("Figures are kept one run a line, without timelines")
    func figures() throws {
        let path = NSTemporaryDirectory() + "stream-disk-report-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ReportFile.write(Self.report, to: path)
        var expected = Self.report
        for index in expected.measurements.indices { expected.measurements[index].timeline = nil }
        #expect(try ReportFile.read(path) == expected)
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count { $0.contains("\"round\":") } == expected.measurements.count)
        #expect(!lines.contains { $0.contains("timeline") })
    }

    @Test("The kept figures of perf/results are per run, without timelines", arguments: try keptReports())
    func kept(path: String) throws {
        let report = try ReportFile.read(path)
        #expect(report.version == Report.currentVersion)
        #expect(!report.measurements.isEmpty)
        #expect(report.measurements.allSatisfy { $0.timeline == nil })
    }

    private static func keptReports() throws -> [String] {
        let folder = URL(filePath: #filePath).appending(path: "../../../perf/results").standardizedFileURL.path
        return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }.sorted()
            .map { "\(folder)/\($0)" }
    }

    @Test("A page begins with what came out: the first variant's median and the targets that were met")
    func summary() throws {
        let page = HTMLPage.text([Self.report])
        let head = try #require(page.range(of: "targets met"))
        let first = try #require(page.range(of: "<section"))
        #expect(head.lowerBound < first.lowerBound)
        #expect(page[..<first.lowerBound].contains("1.20 s"))
        #expect(page[..<first.lowerBound].contains("1 of 1"))
    }

    @Test("No plot of a page is wider than a telephone's screen, and no text leaves it")
    func width() throws {
        for svg in HTMLPage.text([Self.report]).components(separatedBy: "<svg").dropFirst() {
            #expect(svg.contains("viewBox=\"0 0 420 "))
            for text in svg.matches(of: /<text x="([0-9.]+)"[^>]*text-anchor="start"[^>]*>([^<]*)</) {
                let start = try #require(Double(text.1))
                // Seven pixels a letter, on the average.
                #expect(start + 7 * Double(text.2.count) <= 420, "\(text.2)")
            }
        }
    }

    @Test("The page needs nothing else, and is well-formed where XML is asked for")
    func page() throws {
        let page = HTMLPage.text([Self.report])
        for outside in ["<script", "<link", "<img", "@import", "url(", "src="] { #expect(!page.contains(outside)) }
        #expect(!page.contains("http://") && !page.contains("https://"))
        #expect(page.contains("A &lt;title&gt; &amp; &quot;more&quot;"))
        #expect(!page.contains("A <title>"))
        // Rates, time per stage, over time.
        #expect(page.components(separatedBy: "<svg").count - 1 == 3)

        // python3's parser, not ours.
        let path = NSTemporaryDirectory() + "stream-disk-plot-\(UUID().uuidString).svg"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try BarPlot.picture(Self.report).write(toFile: path, atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])", path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test("Bars are as long as their medians are to each other, and no dot leaves the picture")
    func bars() throws {
        let svg = BarPlot.svg(Self.report)
        func attribute(_ name: String, of pattern: String) -> [Double] {
            svg.matches(of: try! Regex(pattern + "[^>]* " + name + "=\"([0-9.]+)\"")).compactMap { match in
                match.output[1].substring.flatMap { Double($0) }
            }
        }
        let own = try #require(attribute("width", of: "rect class=\"own\"").first)
        let other = try #require(attribute("width", of: "rect class=\"other\"").first)
        // Medians: 1.2 s and 3 s for the same bytes.
        #expect(abs(own / other - 2.5) < 0.02)
        let dots = attribute("cx", of: "circle class=\"dot\"")
        #expect(dots.count == 6)
        #expect(dots.allSatisfy { $0 > 0 && $0 < Plot.pageWidth })
    }

    @Test("Ticks are round and reach the largest value", arguments: [0.013, 0.7, 1, 4.9, 1999, 123_456])
    func ticks(maximum: Double) {
        let ticks = Plot.ticks(upTo: maximum)
        #expect(ticks.first == 0)
        #expect(ticks.last! >= maximum * (1 - 1e-9))
        #expect((2...11).contains(ticks.count))
    }

    @Test("A README's lines between the markers are replaced, the others stay")
    func markdown() throws {
        let document = "before\n\(Markdown.begin)\nold\n\(Markdown.end)\nafter\n"
        let text = try Markdown.replacing(in: document, with: Markdown.text([Self.report]))
        #expect(text.hasPrefix("before\n\(Markdown.begin)\n"))
        #expect(text.hasSuffix("\(Markdown.end)\nafter\n"))
        #expect(!text.contains("old"))
        #expect(text.contains("| one | 1.200 | 1.100 | 1.300 |"))
        #expect(text.contains("a alternative\\|with"))
        #expect(text.contains("| speed | 2.5 × | 2.3 | 2.7 | ≥ 2 | yes |"))
        #expect(try Markdown.replacing(in: text, with: "x") == Markdown.replacing(in: document, with: "x"))
        #expect(throws: BenchError.self) { try Markdown.replacing(in: "no markers", with: "x") }
    }
}
