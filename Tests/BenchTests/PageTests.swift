import Foundation
import Testing

@testable import bench

@Suite("What bench writes")
struct PageTests {
    private static let rival = "a rival|with a name that is longer than any plot has room for"

    private static func own(_ round: Int) -> Run {
        let stage = Run.Stage(
            name: "decode", bytes: 1_000_000_000, busySeconds: 0.5, cpuSeconds: 0.4, waitingForInputSeconds: 0.2,
            waitingForOutputSeconds: 0.3)
        let timeline = (0...20).map { (step: Int) -> Run.Moment in
            let bytes = UInt64(step) * 1_000_000
            return Run.Moment(
                seconds: Double(step) / 20, fetchedBytes: bytes, decodedBytes: 3 * bytes, writtenBytes: 3 * bytes,
                waitingBytes: 1_000_000, bytesInFlight: step * 100_000)
        }
        return Run(
            contestant: "one", round: round, seconds: 1 + Double(round) / 10, bytes: 1_000_000_000, userSeconds: 1,
            systemSeconds: 0.5, peakMemoryBytes: 1 << 27, stages: [stage], timeline: timeline)
    }

    static let report: Report = {
        let machine = Machine(
            cpu: "A processor", cores: 2, memoryBytes: 1 << 33, kernel: "Linux 6.1", loadAverage: "0 0 0",
            transparentHugePages: "madvise", versions: ["zstd": "1.5.4"], revision: "abc")
        var runs: [Run] = []
        for round in 0...3 {
            runs.append(own(round))
            runs.append(Run(contestant: rival, round: round, seconds: 3, bytes: 1_000_000_000))
        }
        return Report(
            scenario: "stream", title: "A <title> & \"more\"", note: "A note.", date: "2026-01-01T00:00:00Z",
            machine: machine, settings: ["device": "loop"],
            contestants: [.init(name: "one", text: "first"), .init(name: rival, text: "second")], runs: runs,
            comparisons: [Comparison(name: "speed", unit: "×", values: [2.7, 2.5, 2.3], target: .init(atLeast: 2))])
    }()

    @Test("A report that was written is read back unchanged")
    func roundTrip() throws {
        let path = NSTemporaryDirectory() + "stream-disk-report-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ReportFile.write(Self.report, to: path)
        #expect(try ReportFile.read(path) == Self.report)
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
        #expect(dots.allSatisfy { $0 > 0 && $0 < Plot.width })
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
        #expect(text.contains("a rival\\|with"))
        #expect(text.contains("| speed | 2.5 × | 2.3 | 2.7 | ≥ 2 | yes |"))
        #expect(try Markdown.replacing(in: text, with: "x") == Markdown.replacing(in: document, with: "x"))
        #expect(throws: BenchError.self) { try Markdown.replacing(in: "no markers", with: "x") }
    }
}
