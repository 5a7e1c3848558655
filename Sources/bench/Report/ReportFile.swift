import FoundationEssentials
import Glibc

/// Reports as JSON files.
enum ReportFile {
    /// Writes the figures only: timelines are many times as long, and are shown only in pages.
    static func write(_ report: Report, to path: String) throws {
        var report = report
        report.version = Report.currentVersion
        for index in report.measurements.indices { report.measurements[index].timeline = nil }
        for index in report.scans?.indices ?? 0..<0 { report.scans?[index].timeline = nil }
        try writeWithTimelines(report, to: path)
    }

    static func writeWithTimelines(_ report: Report, to path: String) throws {
        try Data(text(report).utf8).write(to: URL(filePath: path))
    }

    /// One run on each line, so that two files can be compared and a change is readable.
    static func text(_ report: Report) throws -> String {
        func json(_ value: some Encodable) throws -> String {
            String(decoding: try encoded(value).dropLast(), as: UTF8.self)
        }
        func lines(_ values: [some Encodable]) throws -> String {
            values.isEmpty ? "[]" : "[\n" + (try values.map { "  " + (try json($0)) }.joined(separator: ",\n")) + "\n]"
        }
        var members = [
            ("version", try json(report.version)), ("scenario", try json(report.scenario)),
            ("title", try json(report.title)), ("note", try json(report.note)), ("date", try json(report.date)),
            ("machine", try json(report.machine)), ("settings", try json(report.settings)),
            ("variants", try lines(report.variants)), ("comparisons", try lines(report.comparisons)),
            ("measurements", try lines(report.measurements)),
        ]
        if let scans = report.scans { members.append(("scans", try lines(scans))) }
        return "{\n" + members.map { "\"\($0)\": \($1)" }.joined(separator: ",\n") + "\n}\n"
    }

    static func read(_ path: String) throws -> Report {
        do {
            return try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(filePath: path)))
        } catch {
            throw BenchError("\(path) is not a report of this program: \(error)")
        }
    }

    /// On one line, with sorted keys.
    static func encoded<Value: Encodable>(_ value: Value) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value) + Data([0x0a])
    }
}

/// Calls write(2) until everything is written or the reader has gone.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) {
    var done = 0
    while done < bytes.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
        let count = unsafe write(descriptor, rest.baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        done += count
    }
}
