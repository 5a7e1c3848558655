import Foundation
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// What a person and a program are told before a disk is written.
    @Suite struct PlanTests {
        @Test("The plan says what will be lost: table, partitions, file systems and labels, and where a link leads.")
        func planShowsWhatIsLost() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let disk = folder.appending(path: "disk.raw").path
                try OldDisk.make(disk, sizeBytes: image.diskBytes)
                let link = folder.appending(path: "by-id").path
                try run("ln", ["-s", disk, link])
                let before = try sha256(of: disk)
                let ended = try Program.run([image.path, "--disk", link, "--dry-run"], events: true)
                #expect(ended.code == 0, "\(ended.errors)")
                for words in [
                    "\(link) -> \(disk)", "\nlost    a gpt partition table with 2 partitions:\n", "ext4 'precious'",
                    "vfat 'OLDBOOT'",
                ] {
                    #expect(ended.output.contains(words), "\(words) in: \(ended.output)")
                }
                #expect(try sha256(of: disk) == before)

                let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
                #expect(plan["disk"] as? String == link)
                let target = try #require(plan["target"] as? [String: Any])
                #expect(target["path"] as? String == disk && target["sizeBytes"] as? UInt64 == image.diskBytes)
                let contents = try #require(target["contents"] as? [String: Any])
                #expect(contents["tableType"] as? String == "gpt" && contents["partitionCount"] as? Int == 2)
                let partitions = try #require(contents["partitions"] as? [[String: Any]])
                #expect(partitions.map { $0["fsType"] as? String } == ["vfat", "ext4"])
                #expect(partitions.map { $0["label"] as? String } == ["OLDBOOT", "precious"])
                #expect(partitions.map { $0["name"] as? String } == ["boot", "old root"])
                #expect(partitions.map { $0["offsetBytes"] as? Int } == [1 << 20, 5 << 20])
                #expect(partitions.map { $0["sizeBytes"] as? Int } == [4 << 20, 8 << 20])
            }
        }

        @Test("What nobody can tell is said to be so.")
        func unknownContents() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let ended = try Program.run([image.path, "--disk", disk, "--dry-run"])
                #expect(ended.output.contains("no known content"), "\(ended.output)")
                #expect(!ended.output.contains(" -> "))
            }
        }

        @Test("A label of the old disk cannot drive the terminal.")
        func labelsAreEscaped() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let disk = folder.appending(path: "disk.raw").path
                try run("truncate", ["-s", "\(image.diskBytes)", disk])
                try run("mkfs.ext4", ["-q", "-F", "-L", "\u{1b}[2Jlabel", disk])
                let ended = try Program.run([image.path, "--disk", disk, "--dry-run"])
                #expect(ended.code == 0 && ended.output.contains("label"), "\(ended.output)")
                #expect(!ended.output.contains("\u{1b}") && !ended.errors.contains("\u{1b}"))
            }
        }

        @Test("On a terminal it stands above the question.")
        func shownBeforeTheQuestion() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let disk = folder.appending(path: "disk.raw").path
                try OldDisk.make(disk, sizeBytes: image.diskBytes)
                let terminal = try PseudoTerminal()
                let running = try Running([image.path, "--disk", disk], terminal: terminal.programSide)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                #expect(terminal.text.contains("ext4 'precious'"), "\(terminal.text)")
                terminal.type("no\n")
                _ = try running.wait(seconds: 10)
            }
        }

        @Test("It is shown once, and fits the terminal: only the hash is longer than a line.")
        func fitsTheTerminal() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let disk = folder.appending(path: "disk.raw").path
                try OldDisk.make(disk, sizeBytes: image.diskBytes)
                let terminal = try PseudoTerminal()
                terminal.resize(columns: 80)
                // Paths of temporary folders may be longer than a line.
                let running = try Running(
                    ["image.cosi", "--disk", "disk.raw"],
                    through: ["bash", "-c", "cd '\(folder.path)' && ln -s '\(image.path)' image.cosi && exec \"$@\"", "bash"],
                    terminal: terminal.programSide)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                let text = terminal.text
                terminal.type("no\n")
                _ = try running.wait(seconds: 10)
                #expect(text.components(separatedBy: "disk.raw").count == 3, "\(text)")
                for line in text.components(separatedBy: "\r\n") where !line.contains("sha384:") {
                    #expect(line.count <= 80, "\(line)")
                }
            }
        }

        @Test("With verify, nothing is said to be lost or written.")
        func verifyLosesNothing() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                #expect(try Program.run([image.path, "--disk", disk, "--yes"]).code == 0)
                for more in [[], ["--verbose"]] {
                    let ended = try Program.run(["verify", image.path, "--disk", disk] + more)
                    #expect(ended.code == 0, "\(ended.errors)")
                    #expect(ended.errors.contains(more.isEmpty ? "comparing \(disk)" : "to compare"), "\(ended.errors)")
                    for word in ["lost", "writ", "Writ"] { #expect(!ended.errors.contains(word), "\(ended.errors)") }
                }
            }
        }

        @Test("Whether a hash was compared is said, in the plan and at the end.")
        func hashCompared() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                for (hash, isCompared) in [("ignored", false), ("sha384:" + image.manifest.metadataSha384, true)] {
                    let ended = try Program.run([image.path, "--disk", disk, "--yes", "--hash", hash], events: true)
                    #expect(ended.code == 0, "\(ended.errors)")
                    for name in ["plan", "completed"] {
                        let event = try #require(ended.events.first { $0["event"] as? String == name })
                        #expect(event["hashCompared"] as? Bool == isCompared, "\(name)")
                    }
                    let words = isCompared ? "hash verified: sha384:" : "hash not compared (no --hash given): sha384:"
                    #expect(ended.output.contains(words), "\(ended.output)")
                }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func disksTellWhatIsOnThem() throws {
            try LoopDevice.with(sizeBytes: 32 << 20) { device in
                try OldDisk.make(device.path, sizeBytes: nil)
                let ended = try Program.run(["disks", "--json"])
                let disks = try #require(
                    try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]])
                let disk = try #require(disks.first { $0["path"] as? String == device.path })
                let contents = try #require(disk["contents"] as? [String: Any])
                #expect(contents["tableType"] as? String == "gpt" && contents["partitionCount"] as? Int == 2)
                let row = try Program.run(["disks"]).output.split(separator: "\n").first { $0.hasPrefix(device.path + " ") }
                #expect(try #require(row).contains("gpt, 2 partitions"))
            }
        }
    }
}
