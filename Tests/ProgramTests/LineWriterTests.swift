import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport
@testable import stream_disk

@Suite("Lines on their way to a reader")
struct LineWriterTests {
    private func ends() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        // F_SETPIPE_SZ (fcntl(2)).
        _ = fcntl(ends[0], 1031, 4096)
        return (ends[0], ends[1])
    }

    /// Reads to the end, a few bytes at a time.
    private func lines(from descriptor: Int32, atOnce: Int = 4096) -> [String] {
        var (all, bytes) = ([UInt8](), [UInt8](repeating: 0, count: atOnce))
        while case let count = unsafe read(descriptor, &bytes, atOnce), count > 0 { all += bytes[..<count] }
        close(descriptor)
        return String(decoding: all, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Reads while `body` runs.
    private func reading(
        _ descriptor: Int32, atOnce: Int, _ body: () throws -> Void
    ) throws -> [String] {
        let read = Monitor<[String]>([])
        let thread = try WorkerThread(name: "reader") {
            let lines = self.lines(from: descriptor, atOnce: atOnce)
            read.mutateAndNotify { $0 = lines }
        }
        try body()
        thread.join()
        return read.withLock { $0 }
    }

    @Test("Nothing is waited for while nobody reads, and memory is bounded", arguments: [false, true])
    func bounded(isNonBlocking: Bool) throws {
        let (readEnd, writeEnd) = try ends()
        if isNonBlocking { _ = fcntl(writeEnd, F_SETFL, O_NONBLOCK) }
        let writer = LineWriter(descriptor: writeEnd) { count, seconds in "dropped \(count) until \(Int(seconds))\n" }
        let begin = Instant.now
        let count = 60_000
        let filler = String(repeating: "x", count: 80)
        for number in 0..<count {
            if number % 10_000 == 0 { writer.send("vital \(number)\n", .vital, seconds: Double(number)) }
            writer.send("note \(number) \(filler)\n", .note, seconds: Double(number))
            writer.send("progress \(number)\n", .progress, seconds: Double(number))
        }
        #expect(Instant.now.seconds(since: begin) < 20)
        #expect(writer.flush(until: .after(seconds: 0.1)) == .gaveUp)
        writer.send("the end\n", .vital)
        let lines = try reading(readEnd, atOnce: 1000) {
            #expect(writer.flush(until: .after(seconds: 20)) == .delivered)
            writer.end()
            close(writeEnd)
        }
        #expect(lines.last == "")
        #expect(lines.dropLast().last == "the end")
        #expect(lines.filter { $0.hasPrefix("vital") } == stride(from: 0, to: count, by: 10_000).map { "vital \($0)" })
        #expect(lines.allSatisfy { !$0.hasPrefix("note") || $0.hasSuffix(filler) })
        let notes = lines.filter { $0.hasPrefix("note") }
        let markers = lines.filter { $0.hasPrefix("dropped") }
        let dropped = markers.compactMap { Int($0.split(separator: " ")[1]) }
        // One may have been written before the rest went.
        #expect((1...2).contains(markers.count))
        #expect(notes.count + dropped.reduce(0, +) == count)
        #expect(notes.reduce(0) { $0 + $1.utf8.count } < LineQueue.bytesMax + 8192)
        #expect(lines.count { $0.hasPrefix("progress") } < 100)
        // In the order of time.
        let numbers = lines.dropLast(2).compactMap { Int($0.split(separator: " ")[$0.hasPrefix("dropped") ? 3 : 1]) }
        #expect(numbers == numbers.sorted())
    }

    @Test("Of progress that waits, the latest wins; nothing else goes while there is room")
    func latestProgress() {
        var queue = LineQueue()
        for number in 0..<100 {
            queue.append("progress \(number)\n", .progress, seconds: 0)
            if number % 25 == 0 { queue.append("note \(number)\n", .note, seconds: 0) }
        }
        queue.append("end\n", .vital, seconds: 0)
        var texts: [String] = []
        while let entry = queue.removeFirst() { texts.append(entry.text) }
        #expect(texts == ["note 0\n", "note 25\n", "note 50\n", "note 75\n", "progress 99\n", "end\n"])
        #expect(queue.bytes == 0 && queue.isEmpty)
    }

    @Test("Two writers on one pipe: no line is cut in two") func whole() throws {
        let (readEnd, writeEnd) = try ends()
        _ = fcntl(writeEnd, F_SETFL, O_NONBLOCK)
        let writers = [LineWriter(descriptor: writeEnd), LineWriter(descriptor: writeEnd)]
        for (index, letter) in ["a", "b"].enumerated() {
            for _ in 0..<500 { writers[index].send(String(repeating: letter, count: 100) + "\n", .note) }
        }
        let lines = try reading(readEnd, atOnce: 77) {
            for writer in writers {
                #expect(writer.flush(until: .after(seconds: 20)) == .delivered)
                writer.end()
            }
            close(writeEnd)
        }.dropLast()
        #expect(lines.count == 1000)
        #expect(lines.allSatisfy { $0.count == 100 && Set($0).count == 1 })
    }

    // Not a pipe without a reader: to ignore SIGPIPE here would make every child of the test process ignore it.
    @Test("A descriptor that fails ends the writer, and nobody waits for it") func fails() throws {
        let full = unsafe open("/dev/full", O_WRONLY)
        let writer = LineWriter(descriptor: full)
        writer.send("hello\n", .vital)
        #expect(writer.flush(until: .after(seconds: 5)) == .failed(ENOSPC))
        writer.send("hello\n", .vital)
        #expect(writer.flush(until: nil) == .failed(ENOSPC))
        writer.end()
        close(full)
    }

    @Test("A live line is cleared before any other line") func live() throws {
        let (readEnd, writeEnd) = try ends()
        let writer = LineWriter(descriptor: writeEnd, redraws: true)
        for (text, kind) in [("10 %", LineQueue.Kind.progress), ("warning\n", .note), ("20 %", .progress)] {
            writer.send(text, kind)
            #expect(writer.flush(until: .after(seconds: 5)) == .delivered)
        }
        writer.clear()
        writer.send("result\n", .vital)
        #expect(writer.flush(until: .after(seconds: 5)) == .delivered)
        writer.end()
        close(writeEnd)
        let erase = "\r\u{1b}[K"
        #expect(lines(from: readEnd).joined(separator: "\n") == "\(erase)10 %\(erase)warning\n\(erase)20 %\(erase)result\n")
    }
}
