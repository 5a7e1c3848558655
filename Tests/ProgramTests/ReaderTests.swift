import Foundation
import Glibc
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// No reader of what the program says can stop what it does.
    @Suite struct ReaderTests {
        /// Runs the program with a pipe as this descriptor.
        private func start(
            _ arguments: [String], pipe: SlowPipe, as descriptor: Int32, isNonBlocking: Bool = false, events: Bool = false
        ) throws -> Running {
            let script = """
                import os, sys
                end = os.open(sys.argv[2], os.O_WRONLY | (os.O_NONBLOCK if sys.argv[3] == "1" else 0))
                os.dup2(end, int(sys.argv[1]))
                os.set_inheritable(int(sys.argv[1]), True)
                os.execv(sys.argv[4], sys.argv[4:])
                """
            return try Running(
                arguments, events: events,
                through: ["python3", "-c", script, "\(descriptor)", pipe.path, isNonBlocking ? "1" : "0"])
        }

        @Test("Events that nobody reads do not stop a run", arguments: [false, true])
        func eventsNobodyReads(isNonBlocking: Bool) throws {
            let image = try SampleImage.make()
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let running = try start(
                    [image.path, "--disk", disk, "--yes", "--events", "3"], pipe: pipe, as: 3, isNonBlocking: isNonBlocking)
                let ended = try running.wait(seconds: 20)
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(ended.output.split(separator: "\n").count == 1)
                #expect(ended.errors.contains("writing the partition table"))
                #expect(ended.errorLines.last == "warning: not all events were read in time")
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A standard error that nobody reads stops neither the run nor its events", arguments: [false, true])
        func errorsNobodyReads(isNonBlocking: Bool) throws {
            let image = try SampleImage.make()
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let running = try start(
                    [image.path, "--disk", disk, "--yes", "-v"], pipe: pipe, as: 2, isNonBlocking: isNonBlocking, events: true)
                let ended = try running.wait(seconds: 20)
                #expect(ended.code == 0)
                #expect(ended.eventNames.last == "completed")
                #expect(ended.output.split(separator: "\n").count == 1)
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A signal ends a run that nobody reads", arguments: [3, 2] as [Int32])
        func signalWhileNobodyReads(descriptor: Int32) throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
            try nginx.serve("image.cosi", image.bytes)
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let more = descriptor == 3 ? ["--events", "3"] : []
                let running = try start(
                    [nginx.url("image.cosi"), "--disk", disk, "--yes", "-v"] + more, pipe: pipe, as: descriptor)
                // Its first act after the plan.
                try running.wait(for: "the old table's end") { try tablesLeft(on: disk) == [] }
                usleep(500_000)
                running.signal(SIGINT)
                #expect(try running.wait(seconds: 10).code == 130)
                #expect(try tablesLeft(on: disk) == [])
            }
        }

        @Test("A second signal ends the wait for a reader at once") func secondSignal() throws {
            let image = try SampleImage.make()
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let running = try start([image.path, "--disk", disk, "--yes", "--events", "3"], pipe: pipe, as: 3)
                try running.wait(for: "the last phase") { running.errors.contains("writing the partition table") }
                usleep(200_000)
                running.signal(SIGINT)
                usleep(200_000)
                running.signal(SIGINT)
                #expect(try running.wait(seconds: 2).code == 130)
            }
        }

        @Test("A reader of events that is late loses nothing but progress", arguments: [false, true])
        func lateReader(isNonBlocking: Bool) throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "2m"))
            try nginx.serve("image.cosi", image.bytes)
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let running = try start(
                    [nginx.url("image.cosi"), "--disk", disk, "--yes", "--events", "3"], pipe: pipe, as: 3,
                    isNonBlocking: isNonBlocking)
                try running.wait(for: "the last phase") { running.errors.contains("writing the partition table") }
                usleep(300_000)
                while running.process.isRunning {
                    pipe.read(bytesMax: 97)
                    usleep(2000)
                }
                #expect(try running.wait().code == 0)
                pipe.readAll()
                let events = try pipe.lines.map {
                    try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
                }
                let names = events.map { $0["event"] as? String ?? "" }
                #expect(events.compactMap { $0["phase"] as? String }.filter { $0 != "" }.contains("commit"))
                #expect(names.filter { $0 == "phase" }.count == 5)
                #expect(names.contains("plan") && names.last == "completed")
                // Only the latest waited.
                #expect(names.count { $0 == "progress" } <= 1)
                let times = events.compactMap { $0["t"] as? Double }
                #expect(times == times.sorted() && times.count == events.count)
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A reader that goes away in the middle, or a full disk, is told and changes nothing", arguments: [false, true])
        func goneReader(isFullDisk: Bool) throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "4m"))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let arguments = [nginx.url("image.cosi"), "--disk", disk, "--yes", "--events", "3"]
                let running: Running
                if isFullDisk {
                    running = try Running(arguments, through: ["bash", "-c", "exec \"$@\" 3>/dev/full", "full"])
                } else {
                    let pipe = try SlowPipe(isFull: true)
                    running = try start(arguments, pipe: pipe, as: 3)
                    try running.wait(for: "the write") { running.errors.contains("writing") }
                    pipe.close()
                }
                let ended = try running.wait(seconds: 20)
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(ended.errors.contains("warning: not all events could be written: "))
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A standard output that nobody reads does not stop a run that has written its disk")
        func outputNobodyReads() throws {
            let image = try SampleImage.make()
            let pipe = try SlowPipe(isFull: true)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let running = try start([image.path, "--disk", disk, "--yes"], pipe: pipe, as: 1, events: true)
                let ended = try running.wait(seconds: 20)
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(ended.eventNames.last == "completed")
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A result is waited for, whole, until a signal ends the wait", arguments: [false, true])
        func resultNobodyReads(isRead: Bool) throws {
            let image = try SampleImage.make()
            let pipe = try SlowPipe(isFull: true)
            let running = try start(["inspect", image.path, "--json"], pipe: pipe, as: 1, isNonBlocking: true)
            usleep(1_000_000)
            #expect(running.process.isRunning)
            if isRead {
                while running.process.isRunning {
                    pipe.read(bytesMax: 97)
                    usleep(1000)
                }
                #expect(try running.wait().code == 0)
                pipe.readAll()
                let text = pipe.lines.joined(separator: "\n")
                let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
                #expect(object?["version"] as? String == "1.2")
            } else {
                running.signal(SIGINT)
                expectFailure(try running.wait(seconds: 5), 130, says: ["interrupted before all of the result was read"])
            }
        }
    }
}

/// A named pipe of one page, whose reader takes its time.
final class SlowPipe {
    private let folder: TemporaryFolder
    let path: String
    private var descriptor: Int32
    private var taken: [UInt8] = []

    /// - Parameter isFull: full of empty lines from the start, so that not one byte more goes in.
    init(isFull: Bool) throws {
        folder = try TemporaryFolder()
        path = folder.path + "/pipe"
        try #require(unsafe mkfifo(path, 0o600) == 0)
        descriptor = unsafe open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        // F_SETPIPE_SZ (fcntl(2)).
        _ = fcntl(descriptor, 1031, 4096)
        let newlines = [UInt8](repeating: UInt8(ascii: "\n"), count: 64)
        while isFull, unsafe write(descriptor, newlines, newlines.count) > 0 {}
    }

    deinit { close() }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Takes what is there, at most so much.
    @discardableResult
    func read(bytesMax: Int) -> Int {
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        let count = unsafe Glibc.read(descriptor, &bytes, bytesMax)
        if count > 0 { taken += bytes[..<count] }
        return count
    }

    func readAll() { while read(bytesMax: 4096) > 0 {} }

    /// What came, without the lines that it was full of.
    var lines: [String] { String(decoding: taken, as: UTF8.self).split(separator: "\n").map(String.init) }
}
