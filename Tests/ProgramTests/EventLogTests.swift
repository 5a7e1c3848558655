import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport
@testable import stream_disk

@Suite("Events")
struct EventLogTests {
    private func progress(_ phase: StreamPhase, _ seconds: Double) -> StreamEvent {
        .progress(
            StreamProgress(
                phase: phase, elapsedSeconds: seconds, fetchedBytes: 1, decodedBytes: 1, writtenBytes: 1, zeroedBytes: 0,
                verifiedBytes: 0, verifiedBytesTotal: 1, compressedBytesTotal: 2, decodedBytesTotal: 2, partitions: [],
                waitingBytes: 0, bytesInFlight: 1))
    }

    @Test("No second has more than five lines of progress, also where two phases end in it")
    func progressIsBounded() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("events", [])
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        let log = EventLog(descriptor: file.fileDescriptor)
        let begin = Instant.now
        for (end, phase, next) in [(0.95, StreamPhase.write, StreamPhase.verify), (0.97, .verify, .commit)] {
            while case let seconds = Instant.now.seconds(since: begin), seconds < end {
                log.write(progress(phase, seconds))
                usleep(5000)
            }
            log.write(.phase(next))
        }
        #expect(log.end(until: .after(seconds: 5)) == .delivered)
        let times = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap { line in
            let event = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return event?["event"] as? String == "progress" ? event?["t"] as? Double : nil
        }
        // As many as there may be, so that the test would see one more.
        #expect(times.count == 5 && times.allSatisfy { $0 < 1 }, "\(times)")
    }
}
