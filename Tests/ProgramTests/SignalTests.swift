import Foundation
import Glibc
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// Whatever ends a run in its middle, the disk carries no partition table.
    @Suite struct SignalTests {
        private func withSlowRun(_ body: (_ running: Running, _ disk: String) throws -> Void) throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let running = try Running([nginx.url("image.cosi"), "--disk", disk, "--yes"], events: true)
                try running.waitForBytes()
                try body(running, disk)
            }
        }

        @Test(arguments: [(SIGINT, 130, "interrupted"), (SIGTERM, 143, "terminated"), (SIGHUP, 129, "hung up")])
        func aSignalEndsTheRunCleanly(signal: Int32, code: Int32, word: String) throws {
            try withSlowRun { running, disk in
                running.signal(signal)
                let ended = try running.wait(seconds: 5)
                expectFailure(ended, code, says: ["interrupted", word, "no partition table", "run again"], isQuiet: false)
                #expect(try tablesLeft(on: disk) == [])
                let last = try #require(ended.events.last)
                #expect(last["event"] as? String == "error")
                #expect(last["code"] as? Int32 == code)
                #expect(last["kind"] as? String == "cancelled")
                #expect((last["message"] as? String)?.contains(word) == true)
            }
        }

        @Test("A terminal that goes sends SIGHUP more than once: the run still ends cleanly")
        func hangUpsAtOnce() throws {
            try withSlowRun { running, disk in
                for _ in 0..<3 {
                    running.signal(SIGHUP)
                    usleep(1000)
                }
                expectFailure(try running.wait(seconds: 5), 129, says: ["hung up", "no partition table"], isQuiet: false)
                #expect(try tablesLeft(on: disk) == [])
            }
        }

        @Test("Under nohup a SIGHUP changes nothing")
        func nohup() throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "4m"))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let running = try Running(
                    [nginx.url("image.cosi"), "--disk", disk, "--yes"], events: true, through: ["nohup"])
                try running.waitForBytes()
                running.signal(SIGHUP)
                #expect(try running.wait().code == 0)
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test func aKilledRunLeavesNoTableAndNoLock() throws {
            try withSlowRun { running, disk in
                running.signal(SIGKILL)
                #expect(try running.wait(seconds: 5).code == 1000 + SIGKILL)
                #expect(try tablesLeft(on: disk) == [])
                let image = try SampleImage.make()
                #expect(try Program.run([image.path, "--disk", disk, "--yes", "-q"]).code == 0)
                #expect(try tablesLeft(on: disk).count == 4)
            }
        }

        @Test func aSignalEndsAWaitForASilentServerToo() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes) { _ in FaultServer.Answer().ending(.stall(1000)) }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let before = try sha256(of: disk)
                let running = try Running([server.url(), "--disk", disk, "--yes", "-q"], events: true)
                try running.wait(for: "the request") { !server.requests.isEmpty }
                usleep(300_000)
                running.signal(SIGINT)
                expectFailure(try running.wait(seconds: 5), 130, says: ["interrupted", "Nothing was written"])
                #expect(try sha256(of: disk) == before)
                // inspect waits in the same way.
                let inspecting = try Running(["inspect", server.url()])
                try inspecting.wait(for: "the request") { server.requests.count > 1 }
                usleep(300_000)
                inspecting.signal(SIGTERM)
                expectFailure(try inspecting.wait(seconds: 5), 143, says: ["interrupted"])
            }
        }

        @Test func aSignalEndsAWaitBetweenRetriesToo() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes) { _ in .status(503, retryAfter: "60") }
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let running = try Running([server.url(), "--disk", disk, "--yes", "-q"])
                try running.wait(for: "the request") { !server.requests.isEmpty }
                usleep(300_000)
                running.signal(SIGTERM)
                expectFailure(try running.wait(seconds: 5), 143, says: ["interrupted", "Nothing was written"])
            }
        }
    }
}
