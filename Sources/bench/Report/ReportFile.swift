import FoundationEssentials
import Glibc

/// Reports as JSON files.
enum ReportFile {
    static func write(_ report: Report, to path: String) throws {
        try encoded(report).write(to: URL(filePath: path))
    }

    static func read(_ path: String) throws -> Report {
        do {
            return try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(filePath: path)))
        } catch {
            throw BenchError("\(path) is not a report of this program: \(error)")
        }
    }

    /// With sorted keys and one member a line, so that two files can be compared.
    static func encoded<Value: Encodable>(_ value: Value) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value) + Data([0x0a])
    }
}

/// write(2) until all is written or the reader is gone.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) {
    var done = 0
    while done < bytes.count {
        let count = unsafe write(descriptor, bytes.baseAddress! + done, bytes.count - done)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        done += count
    }
}
