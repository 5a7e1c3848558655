import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport
@testable import stream_disk

extension CommandLineContract {
    /// Results go to standard output, everything else to standard error, and what is for programs can be parsed.
    @Suite struct OutputTests {
        @Test func eventsTellTheRunInOrder() throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "2m"))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run([nginx.url("image.cosi"), "--disk", disk, "--yes"], events: true)
                #expect(ended.code == 0)
                try image.expectStreamed(to: disk, was: was)

                #expect(ended.phases == ["preflight", "invalidate", "write", "commit", "done"])
                #expect(ended.events.allSatisfy { $0["v"] as? Int == 1 })
                let times = ended.events.compactMap { $0["t"] as? Double }
                #expect(times.count == ended.events.count)
                #expect(times == times.sorted())
                #expect(ended.eventNames.last == "completed")
                #expect(ended.eventNames.count { $0 == "completed" } == 1)
                #expect(!ended.eventNames.contains("error"))

                let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
                #expect(plan["disk"] as? String == disk)
                #expect(plan["image"] as? String == nginx.url("image.cosi"))
                #expect(plan["imageBytes"] as? UInt64 == image.decodedBytes)
                #expect(plan["hashCompared"] as? Bool == false)
                let partitions = try #require(plan["partitions"] as? [[String: Any]])
                let truth = image.manifest.regions.sorted { $0.offset < $1.offset }
                #expect(partitions.map { $0["number"] as? Int } == truth.map(\.number))
                #expect(partitions.map { $0["offsetBytes"] as? UInt64 } == truth.map(\.offset))
                #expect(partitions.map { $0["imageBytes"] as? UInt64 } == truth.map(\.uncompressedSize))

                let progress = ended.events.filter { $0["event"] as? String == "progress" }
                #expect(progress.count >= 3)
                let decoded = progress.compactMap { $0["decodedBytes"] as? UInt64 }
                #expect(decoded == decoded.sorted())
                #expect(decoded.last == image.decodedBytes)
                for name in ["fetchedBytes", "writtenBytes", "inFlightBytes"] {
                    #expect(progress.allSatisfy { $0[name] is NSNumber }, "\(name)")
                }
                // Null until they are known.
                for name in ["etaSeconds", "decodedBytesPerSecond"] {
                    #expect(progress.allSatisfy { $0.keys.contains(name) })
                    #expect(progress.contains { $0[name] is NSNumber }, "\(name)")
                }
                // At most five a second.
                let moments = progress.compactMap { $0["t"] as? Double }
                for (index, moment) in moments.enumerated() where index >= 5 { #expect(moment - moments[index - 5] >= 1) }
                let completed = try #require(ended.events.last)
                #expect(completed["hash"] as? String == "sha384:" + image.manifest.metadataSha384)
                #expect(completed["decodedBytes"] as? UInt64 == image.decodedBytes)
                #expect(completed["fetchedBytes"] as? UInt64 == image.compressedBytes)
                #expect(completed["seconds"] as? Double ?? 0 > 0)
                #expect(completed["peakMemoryBytes"] as? Int ?? 0 > 1 << 20)

                // Not a terminal: plain lines, nothing that moves a cursor.
                #expect(!ended.errors.contains("\u{1b}") && !ended.errors.contains("\r"))
                #expect(ended.errors.contains("writing"))
                #expect(ended.output.split(separator: "\n").count == 1)
            }
        }

        @Test func aReaderOfEventsThatGoesAwayChangesNothing() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let script = "exec \"$@\" --events 3 3> >(exec head -c 1 >/dev/null)"
                let ended = try Program.run(
                    [image.path, "--disk", disk, "--yes", "-q"], through: ["bash", "-c", script, "bash"])
                #expect(ended.code == 0, "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test func quietSaysNothing() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run(["stream", "file://" + image.path, "--disk", disk, "--yes", "--quiet"])
                #expect(ended.code == 0)
                #expect((ended.output, ended.errors) == ("", ""))
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test(arguments: ["io_uring", "pwrite"]) func theEngineCanBeChosen(engine: String) throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run(
                    [image.path, "--disk", disk, "--yes", "--engine", engine, "-v"], events: true)
                #expect(ended.code == 0)
                #expect(ended.errors.contains("engine  \(engine)"))
                #expect(ended.events.first { $0["event"] as? String == "plan" }?["engine"] as? String == engine)
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test func aDryRunShowsThePlanAndWritesNothing() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let before = try sha256(of: disk)
                let ended = try Program.run([image.path, "--disk", disk, "--dry-run"], events: true)
                #expect(ended.code == 0)
                #expect(ended.output.contains(disk) && ended.output.contains(image.path), "\(ended.output)")
                for region in image.manifest.regions {
                    #expect(ended.output.contains(region.name), "\(ended.output)")
                    #expect(ended.output.contains(shortSizeText(region.uncompressedSize)), "\(ended.output)")
                }
                #expect(ended.output.hasSuffix("\ndry run: nothing was written\n"), "\(ended.output)")
                #expect(ended.phases == ["preflight"])
                #expect(ended.eventNames.last == "completed")
                #expect(ended.events.last?["written"] as? Bool == false)
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test func inspectShowsWhatAnImageHolds() throws {
            let image = try SampleImage.make(SampleImage.small + " --style mkcosi")
            let ended = try Program.run(["inspect", image.path, "--json"])
            #expect(ended.code == 0)
            #expect(ended.errors == "")
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any])
            #expect(object["hash"] as? String == "sha384:" + image.manifest.metadataSha384)
            #expect(object["version"] as? String == "1.2")
            #expect(object["os"] as? String == "Sample 1.0")
            #expect(object["diskSizeBytes"] as? UInt64 == image.diskBytes)
            #expect(object["blockBytes"] as? UInt64 == image.manifest.lba)
            #expect(object["windowBytes"] as? UInt64 == 1 << 22)
            #expect(object["compressedBytes"] as? UInt64 == image.compressedBytes)
            #expect(object["imageBytes"] as? UInt64 == image.decodedBytes)
            #expect(object["packageCount"] as? Int == 2)
            #expect(object["warnings"] as? [String] == [])
            let partitions = try #require(object["partitions"] as? [[String: Any]])
            let truth = image.manifest.regions.sorted { $0.offset < $1.offset }
            #expect(partitions.map { $0["name"] as? String } == truth.map(\.name))
            #expect(partitions.map { $0["imagePath"] as? String } == truth.map(\.path))
            #expect(partitions.map { $0["compressedBytes"] as? UInt64 } == truth.map(\.compressedSize))
            #expect(partitions.map { $0["imageBytes"] as? UInt64 } == truth.map(\.uncompressedSize))

            let text = try Program.run(["inspect", image.path])
            #expect(text.code == 0)
            #expect(text.output.contains(image.manifest.metadataSha384))
            #expect(text.output.contains("Sample 1.0"))
            for region in truth { #expect(text.output.contains(region.path)) }
        }

        @Test func inspectRefusesWhatIsInvalid() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let changed = try image.repacked(in: folder, metadata: "del(.disk)")
                for more in [[], ["--json"]] {
                    expectFailure(try Program.run(["inspect", changed] + more), 65, says: ["invalid image", "disk"])
                }
            }
        }

        @Test func whatAnImageSaysCannotDriveTheTerminal() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let changed = try image.repacked(
                    in: folder,
                    metadata: #".osRelease = "NAME=\u001b[2Jcleared" | .images[0].mountPoint = "/\u009b31m\nroot" "#
                        + #"| .images[0].fsType = "ext4\r" | .bootloader.type = "grub\u0007""#)
                let disk = folder.path + "/disk.raw"
                try run("truncate", ["-s", "\(image.diskBytes)", disk])
                for arguments in [["inspect", changed], ["stream", changed, "--disk", disk, "--dry-run"]] {
                    let ended = try Program.run(arguments)
                    #expect(ended.code == 0, "\(ended.errors)")
                    #expect(ended.output.contains(#"/\u{9b}31m\u{a}root"#), "\(ended.output)")
                    let controls = (ended.output + ended.errors).unicodeScalars.filter {
                        $0.properties.generalCategory == .control && $0 != "\n"
                    }
                    #expect(controls.isEmpty, "\(controls)")
                }
            }
        }

        @Test("A name that a person or a server gave cannot drive the terminal either, or draw a line of its own")
        func foreignNames() throws {
            try withTemporaryFolder { folder in
                let missing = folder.path + "/\u{1b}[2J\nstream-disk: all is well\u{202e}\u{9b}.cosi"
                for arguments in [["inspect", missing], ["stream", missing, "--disk", missing, "--yes"]] {
                    let ended = try Program.run(arguments)
                    expectFailure(ended, 66, says: [#"/\u{1b}[2J\u{a}stream-disk: all is well\u{202e}\u{9b}.cosi"#])
                }
                let image = try SampleImage.make()
                let disk = folder.path + "/disk\u{1b}[2J\n.raw"
                try run("truncate", ["-s", "\(image.diskBytes)", disk])
                let ended = try Program.run([image.path, "--disk", disk, "--yes", "-v"])
                #expect(ended.code == 0)
                #expect(ended.errors.contains(#"disk\u{1b}[2J\u{a}.raw"#))
                #expect(ended.output.split(separator: "\n").count == 1)
                #expect(!(ended.output + ended.errors).contains("\u{1b}"))
            }
        }

        @Test("JSON is valid, says the same, and cannot drive a terminal") func jsonOfForeignText() throws {
            let text = "a\u{1b}\u{7f}\u{9b}31m\u{202e}\u{2028}\"\\\n\u{f0000}é日\u{10ffff}"
            for json in [JSONValue.object(["text": .text(text)]).line, JSONValue.object(["text": .text(text)]).pretty] {
                let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: String]
                #expect(object?["text"] == text)
                #expect(json.contains("é日"))
                let categories = json.unicodeScalars.filter { $0 != "\n" }.map(\.properties.generalCategory)
                #expect(!categories.contains { [.control, .format, .lineSeparator, .privateUse].contains($0) }, "\(json)")
            }
        }

        /// A list cut short must not pass for whole.
        @Test func code74WhenAResultCannotBeWritten() throws {
            let image = try SampleImage.make()
            let full = ["bash", "-c", "exec \"$@\" >/dev/full", "full"]
            for arguments in [["inspect", image.path], ["inspect", image.path, "--json"], ["disks"], ["disks", "--json"]] {
                let ended = try Program.run(arguments, through: full)
                expectFailure(ended, 74, says: ["standard output", "No space left on device"])
            }
        }

        @Test("A summary that cannot be written does not make a written disk a failure, and is not lost without a word")
        func summaryCannotBeWritten() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run(
                    [image.path, "--disk", disk, "--yes"], through: ["bash", "-c", "exec \"$@\" >/dev/full", "full"])
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(
                    ended.errors.contains("warning: cannot write to standard output: No space left on device"), "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test func disksAreListedWithWhatStandsAgainstThem() throws {
            let ended = try Program.run(["disks", "--json"])
            #expect(ended.code == 0)
            #expect(ended.errors == "")
            let disks = try #require(
                try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]])
            for disk in disks {
                let path = try #require(disk["path"] as? String)
                #expect(path.hasPrefix("/dev/"))
                #expect(disk["name"] is String)
                #expect(disk["sizeBytes"] is NSNumber && disk["blockBytes"] is NSNumber)
                for flag in ["removable", "readOnly", "rotational"] { #expect(disk[flag] is Bool) }
                let reasons = try #require(disk["reasons"] as? [[String: String]])
                #expect(reasons.allSatisfy { $0["code"]?.isEmpty == false && $0["message"]?.isEmpty == false })
                #expect(disk["candidate"] as? Bool == reasons.isEmpty)
            }
        }

        @Test func theTableOfDisksHasALineForEach() throws {
            func names() throws -> [String] {
                let listed = try JSONSerialization.jsonObject(with: Data(try Program.run(["disks", "--json"]).output.utf8))
                return try #require(listed as? [[String: Any]]).compactMap { $0["name"] as? String }
            }
            // Tests beside this one attach and detach loop devices: a table counts that was made between two lists that are alike.
            for _ in 0..<50 {
                let before = try names()
                let lines = try Program.run(["disks"]).output.split(separator: "\n")
                guard try names() == before else { continue }
                #expect(lines.count == before.count + 1)
                for (name, line) in zip(before, lines.dropFirst()) { #expect(line.contains(name)) }
                return
            }
            Issue.record("the disks of this host changed all the time")
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aLoopDeviceIsListedAndNoCandidate() throws {
            try LoopDevice.with(sizeBytes: 8 << 20, sectorSize: 4096) { device in
                let ended = try Program.run(["disks", "--json"])
                let disks = try #require(
                    try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]])
                let disk = try #require(disks.first { $0["path"] as? String == device.path })
                #expect(disk["sizeBytes"] as? Int == 8 << 20)
                #expect(disk["blockBytes"] as? Int == 4096)
                #expect(disk["candidate"] as? Bool == false)
                let reasons = try #require(disk["reasons"] as? [[String: String]])
                #expect(reasons.allSatisfy { $0["code"]?.isEmpty == false && $0["message"]?.isEmpty == false })
                #expect(reasons.contains { $0["code"] == "wrongKind" })
                let text = try Program.run(["disks"]).output
                let row = try #require(text.split(separator: "\n").first { $0.hasPrefix(device.path + " ") })
                #expect(row.contains("no: " + (reasons[0]["message"] ?? "-")))
            }
        }

        @Test func helpTeachesByExample() throws {
            let help = try Program.run(["--help"])
            #expect(help.code == 0)
            #expect(help.errors == "")
            for word in ["stream-disk inspect https://", "stream-disk disks", "--dry-run", "Exit codes", "65", "143"] {
                #expect(help.output.contains(word), "\(word)")
            }
            let stream = try Program.run(["stream", "--help"])
            #expect(stream.code == 0)
            for option in [
                "--disk", "--hash", "--yes", "--dry-run", "--events", "--retry-timeout", "--stall-timeout",
                "--cacert", "--cert", "--key", "--header", "--verbose", "--quiet",
            ] {
                #expect(stream.output.contains(option), "\(option)")
            }
            #expect(try Program.run(["--version"]).output.contains("."))
        }
    }
}
