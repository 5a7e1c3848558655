import Testing

@testable import StreamDisk
@testable import TestSupport
@testable import stream_disk

@Suite("How far a run is, and how long it will take")
struct ProgressEstimateTests {
    private static let mebibyte = UInt64(1 << 20)

    private func progress(
        _ seconds: Double, phase: StreamPhase = .write, fetched: UInt64, decoded: UInt64, written: UInt64, verified: UInt64 = 0,
        waiting: Int = 0, inFlight: Int = 1, partitions: [Int] = []
    ) -> StreamProgress {
        StreamProgress(
            phase: phase, elapsedSeconds: seconds, fetchedBytes: fetched, decodedBytes: decoded, writtenBytes: written,
            zeroedBytes: 0, verifiedBytes: verified, verifiedBytesTotal: 400 * Self.mebibyte,
            compressedBytesTotal: 100 * Self.mebibyte, decodedBytesTotal: 400 * Self.mebibyte, partitions: partitions,
            waitingBytes: waiting, bytesInFlight: inFlight)
    }

    /// A source of 5 MiB/s, whose first half holds nearly nothing: decoded bytes would say that it takes for ever.
    private func slowSource(until end: Double) -> (ProgressEstimate, StreamProgress) {
        var estimate = ProgressEstimate()
        var last = progress(0, fetched: 0, decoded: 0, written: 0)
        for tick in 1...Int(end * 5) {
            let seconds = Double(tick) / 5
            let fetched = UInt64(seconds * 5 * Double(Self.mebibyte))
            last = progress(seconds, fetched: fetched, decoded: fetched / 2, written: fetched / 2, waiting: 1000)
            estimate.add(last)
        }
        return (estimate, last)
    }

    @Test("While the source is slower, share and time left follow fetched bytes")
    func source() throws {
        let (estimate, last) = slowSource(until: 8)
        #expect(estimate.limit == .source)
        #expect((0.399...0.401).contains(estimate.share))
        #expect((11.9...12.1).contains(try #require(estimate.etaSeconds)))
        var widths: [ProgressLine.Part: Int] = [:]
        let line = ProgressLine(progress: last, estimate: estimate, partitions: ["root"]).live(columns: 120, widths: &widths)
        #expect(
            line
                == "[########------------] write   40 %  fetched 40 of 100 MiB at 5.0 MiB/s, 12 s left  20 MiB on disk  root  8 s"
        )
    }

    @Test("While the disk is slower, they follow what is on it") func disk() throws {
        var estimate = ProgressEstimate()
        for tick in 1...50 {
            let written = UInt64(tick) * 2 * Self.mebibyte
            estimate.add(
                progress(
                    Double(tick) / 5, fetched: written / 2, decoded: written + Self.mebibyte, written: written, waiting: 4 << 20))
        }
        #expect(estimate.limit == .disk)
        #expect((0.249...0.251).contains(estimate.share))
        #expect((29.9...30.1).contains(try #require(estimate.etaSeconds)))
    }

    @Test("No rate is shown before there is one") func noRate() {
        var estimate = ProgressEstimate()
        let first = progress(0.1, fetched: 20 * Self.mebibyte, decoded: 0, written: 0)
        estimate.add(first)
        #expect(ProgressLine(progress: first, estimate: estimate).plain.contains("fetched 20 of 100 MiB  0 B on disk"))
        // A source that stands still has one.
        let second = progress(1.1, fetched: 20 * Self.mebibyte, decoded: 0, written: 0)
        estimate.add(second)
        #expect(ProgressLine(progress: second, estimate: estimate).plain.contains("at 0 B/s"))
    }

    @Test("Rates are of the last seconds") func window() throws {
        var (estimate, _) = slowSource(until: 8)
        for tick in 1...50 {
            estimate.add(
                progress(
                    8 + Double(tick) / 5, fetched: 40 * Self.mebibyte,
                    decoded: 20 * Self.mebibyte, written: 20 * Self.mebibyte))
        }
        #expect(estimate.rates.fetched == 0)
        #expect(estimate.etaSeconds == nil)
    }

    @Test("Nothing is promised after a moment") func settling() {
        var estimate = ProgressEstimate()
        for tick in 0...4 {
            estimate.add(progress(Double(tick) / 5, fetched: UInt64(tick) * Self.mebibyte, decoded: 0, written: 0))
            #expect(estimate.etaSeconds == nil)
        }
    }

    @Test("Flush and read-back have their own") func otherSteps() throws {
        var (estimate, _) = slowSource(until: 20)
        let all = 400 * Self.mebibyte
        for tick in 1...10 {
            estimate.add(progress(20 + Double(tick) / 5, fetched: all / 4, decoded: all, written: all, inFlight: 0))
        }
        #expect(estimate.limit == .flush)
        #expect(estimate.etaSeconds == nil)
        #expect((1.7...1.9).contains(estimate.limitSeconds))
        for tick in 1...10 {
            estimate.add(
                progress(
                    22 + Double(tick) / 5, phase: .verify, fetched: all / 4, decoded: all, written: all,
                    verified: UInt64(tick) * 10 * Self.mebibyte))
        }
        #expect(estimate.limit == .verify)
        #expect((0.249...0.251).contains(estimate.share))
        #expect((5.9...6.1).contains(try #require(estimate.etaSeconds)))
    }

    @Test(
        "A live line never reaches the terminal's width, and a bar keeps its length", arguments: [1, 10, 40, 80, 100, 120, 200])
    func width(columns: Int) throws {
        var widths: [ProgressLine.Part: Int] = [:]
        var bars: Set<Int> = []
        for seconds in [1.0, 2, 7, 12, 19] {
            let (estimate, last) = slowSource(until: seconds)
            for name in ["root", "日本語の名前", "\u{1b}[2J", String(repeating: "n", count: 300)] {
                var line = ProgressLine(progress: last, estimate: estimate, partitions: [name, "esp"])
                for state in [nil, ProgressLine.Reconnecting(seconds: 12, timeoutSeconds: 300, reason: "no route\nto host")] {
                    line.reconnecting = state
                    let text = line.live(columns: columns, widths: &widths)
                    #expect(ProgressLine.columns(of: text) < columns, "\(text)")
                    #expect(!text.unicodeScalars.contains { $0.properties.generalCategory == .control })
                    if columns >= 80, state != nil { #expect(text.contains("reconnecting, 12 s of 300 s"), "\(text)") }
                    bars.insert(text.firstIndex(of: "]").map { text.distance(from: text.startIndex, to: $0) } ?? 0)
                }
            }
        }
        #expect(bars.count == 1)
    }

    @Test("Where there is little room a line has fewer words, never half a one", arguments: 8...120)
    func fewerWords(columns: Int) {
        let (estimate, last) = slowSource(until: 8)
        var widths: [ProgressLine.Part: Int] = [:]
        var line = ProgressLine(progress: last, estimate: estimate, partitions: ["root"])
        let words = Set(line.plain.split { " ,".contains($0) }.map(String.init))
        let text = line.live(columns: columns, widths: &widths)
        let bar = text.firstIndex(of: "]").map { text.index(after: $0) } ?? text.startIndex
        for word in text[bar...].split(whereSeparator: { " ,".contains($0) }) { #expect(words.contains(String(word)), "\(text)") }
        if columns >= 32 { #expect(text.contains("12 s left"), "\(text)") }
        line.reconnecting = ProgressLine.Reconnecting(seconds: 12, timeoutSeconds: 300, reason: "no route")
        let lost = line.live(columns: columns, widths: &widths)
        if columns >= 40 { #expect(lost.contains("reconnecting, 12 s of 300 s"), "\(lost)") }
    }

    @Test("No rate is told before there is one") func firstMoments() {
        var estimate = ProgressEstimate()
        for tick in 1...4 {
            let now = progress(Double(tick) / 5, fetched: 3 * Self.mebibyte, decoded: 0, written: 0)
            estimate.add(now)
            #expect(!ProgressLine(progress: now, estimate: estimate).plain.contains("/s"))
        }
    }

    @Test("Sizes side by side have one unit") func pairs() {
        #expect(pairText(41 << 20, of: 108 << 20) == "41 of 108 MiB")
        #expect(pairText(1 << 20, of: 5 << 30) == "0.0 of 5.0 GiB")
        #expect(pairText(1 << 29, of: 5 << 30) == "0.5 of 5.0 GiB")
        #expect(pairText(7, of: 900) == "7 of 900 B")
        #expect(pairText(0, of: 0) == "0 of 0 B")
        #expect(pairText(.max, of: .max) == "15 of 15 EiB")
    }
}
