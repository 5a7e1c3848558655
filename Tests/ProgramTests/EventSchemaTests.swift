import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Prints what of `text` the schema does not have; throws where there is something. `form`: events, disks, inspect or verify.
private func expectDocumented(_ text: String, as form: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try withTemporaryFolder { folder in
        let file = folder.appending(path: "said").path
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let faults = try run("bash", ["-c", "\"$1\" \"$2\" < \"$3\" || true", "check", Program.checkJSON, form, file])
        #expect(faults.trimmingCharacters(in: .whitespacesAndNewlines) == "", "\(text)", sourceLocation: sourceLocation)
    }
}

extension CommandLineContract {
    /// What programs read is what docs/events.schema.json says, in runs of every kind; a field too many is a fault, too.
    @Suite struct EventSchemaTests {
        /// Ended with this code, its last event said so, and all events are as documented.
        private func expectValid(
            _ ended: Ended, _ code: Int32, kind: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(ended.code == code, "\(ended.errors)", sourceLocation: sourceLocation)
            #expect(ended.eventNames.first == "start", sourceLocation: sourceLocation)
            #expect(ended.eventNames.last == (code == 0 ? "completed" : "error"), sourceLocation: sourceLocation)
            if code != 0 { #expect(ended.events.last?["code"] as? Int32 == code, sourceLocation: sourceLocation) }
            if let kind { #expect(ended.events.last?["kind"] as? String == kind, sourceLocation: sourceLocation) }
            try expectDocumented(ended.eventLines, as: "events", sourceLocation: sourceLocation)
        }

        private func withDisk(_ body: (_ image: SampleImage, _ disk: String) throws -> Void) throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in try body(image, disk) }
        }

        @Test("Runs that write, with and without reading back, and a plan alone.")
        func writing() throws {
            try withDisk { image, disk in
                for more in [["--yes"], ["--yes", "--verify"], ["--dry-run"]] {
                    try expectValid(try Program.run([image.path, "--disk", disk] + more, events: true), 0)
                }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aRunOntoABlockDevice() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                try OldDisk.make(device.path, sizeBytes: nil)
                try expectValid(try Program.run([image.path, "--disk", device.path, "--yes"], events: true), 0)
            }
        }

        @Test("Runs onto one target and onto two, that write, that only plan, and that fail before and after the first byte.")
        func regions() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let (one, two) = (folder.appending(path: "one").path, folder.appending(path: "two").path)
                try run("truncate", ["-s", "32M", one, two])
                let root = ["--partition", "root=\(one)"]
                let both = root + ["--partition", "esp=\(two)"]
                for onto in [root, both] {
                    for more in [["--yes"], ["--yes", "--verify"], ["--dry-run"]] {
                        try expectValid(try Program.run([image.path] + onto + more, events: true), 0)
                    }
                }
                try expectValid(
                    try Program.run([image.path, "--partition", "none=\(one)", "--yes"], events: true), 66,
                    kind: "partition.notFound")
                var bytes = try image.bytes
                bytes[try image.fileOffset(of: try image.region("root")) + 2_000_000] ^= 1
                let corrupt = try FaultServer(bytes)
                let ended = try Program.run([corrupt.url(), "--yes"] + both, events: true)
                try expectValid(ended, 65)
                #expect(ended.events.last?["diskState"] as? String == "uncertain")
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aRunOntoAPartition() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: 64 << 20, partitions: true) { device in
                try run("addpart", [device.path, "1", "2048", "65536"])
                defer { _ = try? run("delpart", [device.path, "1"]) }
                try expectValid(
                    try Program.run([image.path, "--partition", "root=\(device.path)p1", "--yes"], events: true), 0)
            }
        }

        @Test("Comparisons, with a disk that holds the image and with one that does not.")
        func comparing() throws {
            try withDisk { image, disk in
                try expectValid(try Program.run([image.path, "--disk", disk, "--yes"], events: true), 0)
                let verify = ["verify", image.path, "--disk", disk]
                try expectValid(try Program.run(verify, events: true), 0)
                try expectDocumented(try Program.run(verify + ["--json"]).output, as: "verify")
                try flipByte(try image.region("root").offset + 5000, of: disk)
                let ended = try Program.run(verify, events: true)
                try expectValid(ended, 74, kind: "device.mismatch")
                #expect((ended.events.last?["partition"] as? [String: Any])?["name"] as? String == "root")
                try expectDocumented(try Program.run(verify + ["--json"]).output, as: "verify")
            }
        }

        @Test("Runs that are refused before the first byte.")
        func refusals() throws {
            try withDisk { image, disk in
                let onto = ["--disk", disk, "--yes"]
                try expectValid(try Program.run(["/none/image.cosi"] + onto, events: true), 66, kind: "source.notFound")
                let other = "sha384:" + String(repeating: "ab", count: 48)
                try expectValid(try Program.run([image.path, "--hash", other] + onto, events: true), 65, kind: "image.hash")
                try expectValid(
                    try Program.run([image.path, "--disk", "/dev/null", "--yes"], events: true), 78, kind: "disk.notADisk")
                try expectValid(
                    try Program.run([image.path, "--select", "serial=of no disk", "--dry-run"], events: true), 78,
                    kind: "disk.noneMatches")
                try expectValid(try Program.run([image.path, "--no-such-option"], events: true), 64, kind: "usage")
                let forbids = try FaultServer(image.bytes) { _ in .status(403) }
                try expectValid(try Program.run([forbids.url()] + onto, events: true), 77, kind: "source.notPermitted")
            }
        }

        @Test("A corrupt image, a server that fails for a while, one that goes away, and one without ranges.")
        func sources() throws {
            try withDisk { image, disk in
                let onto = ["--disk", disk, "--yes"]
                var bytes = try image.bytes
                let cut = try FaultServer(bytes) { request in
                    request.index < 3 ? FaultServer.Answer() : request.index < 5 ? .status(503) : FaultServer.Answer()
                }
                let survived = try Program.run([cut.url()] + onto, events: true)
                try expectValid(survived, 0)
                #expect(survived.eventNames.contains("retry") && survived.eventNames.contains("warning"))
                let gone = try FaultServer(bytes) { $0.index < 3 ? FaultServer.Answer() : .nothing }
                try expectValid(
                    try Program.run([gone.url(), "--retry-timeout", "1"] + onto, events: true), 69,
                    kind: "source.unreachable")
                let sequential = try Nginx(.init(doesRanges: false))
                try sequential.serve("image.cosi", bytes)
                try expectValid(try Program.run([sequential.url("image.cosi")] + onto, events: true), 0)
                bytes[try image.fileOffset(of: try image.region("root")) + 2_000_000] ^= 1
                let corrupt = try FaultServer(bytes)
                let ended = try Program.run([corrupt.url()] + onto, events: true)
                try expectValid(ended, 65)
                #expect(ended.events.last?["diskState"] as? String == "withoutTable")
            }
        }

        @Test("A slow run: a second run beside it, progress at most five times a second, rates once they are known, a signal.")
        func slowRun() throws {
            try withDisk { image, disk in
                let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
                try nginx.serve("image.cosi", image.bytes)
                let running = try Running([nginx.url("image.cosi"), "--disk", disk, "--yes"], events: true)
                try running.waitForBytes()
                try expectValid(try Program.run([image.path, "--disk", disk, "--yes"], events: true), 75, kind: "disk.busy")
                sleep(3)
                running.signal(SIGTERM)
                let ended = try running.wait()
                try expectValid(ended, 143, kind: "cancelled")
                let progress = ended.events.filter { $0["event"] as? String == "progress" }
                let times = progress.compactMap { $0["t"] as? Double }
                #expect(times.count >= 6, "\(times)")
                for (index, time) in times.enumerated() where index >= 5 { #expect(time - times[index - 5] >= 1, "\(times)") }
                for (one, other) in [("fetchedBytesPerSecond", "decodedBytesPerSecond"), ("writtenBytesPerSecond", "etaSeconds")]
                {
                    #expect(progress.first?[one] is NSNull && progress.first?[other] is NSNull)
                }
                #expect(progress.last?["fetchedBytesPerSecond"] as? Double ?? 0 > 0)
            }
        }

        @Test("inspect --json and disks --json have the same keys for the same things.")
        func results() throws {
            let image = try SampleImage.make(SampleImage.small + " --style mkcosi")
            try expectDocumented(try Program.run(["inspect", image.path, "--json"]).output, as: "inspect")
            try expectDocumented(try Program.run(["disks", "--json"]).output, as: "disks")
            try expectDocumented(try Program.run(["disks", "--json", "--select", "serial=none"]).output, as: "disks")
        }

        @Test(
            "The check finds what the schema does not have.",
            arguments: [
                #"{"v":1,"t":0,"event":"warning","message":"x","more":1}"#, #"{"v":1,"t":0,"event":"other"}"#,
                #"{"v":1,"t":0,"event":"warning"}"#, #"{"v":2,"t":0,"event":"warning","message":"x"}"#,
                #"{"v":1,"t":0,"event":"error","code":64,"kind":"other","message":"x","phase":"write","diskState":"untouched"}"#,
            ])
        func theCheckFindsFaults(line: String) throws {
            #expect(throws: (any Error).self) {
                try run("bash", ["-c", "printf '%s\\n' \"$1\" | \"$2\"", "check", line, Program.checkJSON])
            }
        }
    }
}
