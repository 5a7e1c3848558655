import Foundation
import Glibc
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// Every exit code but 70, which takes a bug, each with one line that says what, where and what to do.
    @Suite struct ExitCodeTests {
        private func withTarget(_ body: (_ image: SampleImage, _ disk: String) throws -> Void) throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { try body(image, $0) }
        }

        /// Fails before the first write: the target is what it was.
        private func expectRefusal(
            _ code: Int32, _ arguments: [String], disk: String, says: [String], through: [String] = [],
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let before = try sha256(of: disk)
            let ended = try Program.run(arguments + ["--disk", disk, "--yes", "-q"], through: through)
            expectFailure(ended, code, says: says + ["Nothing was written"], sourceLocation: sourceLocation)
            #expect(try sha256(of: disk) == before, sourceLocation: sourceLocation)
        }

        @Test func code0WhenAllIsOnTheDisk() throws {
            try withTarget { image, disk in
                let hash = "sha384:" + image.manifest.metadataSha384
                let ended = try Program.run([image.path, "--disk", disk, "--yes", "--hash", hash])
                #expect(ended.code == 0)
                #expect(ended.output.contains(disk) && ended.output.contains(hash), "\(ended.output)")
                #expect(ended.output.split(separator: "\n").count == 1)
                #expect(ended.errors.contains(image.path))
            }
        }

        @Test(arguments: [
            (["--no-such-option", "image"], "--no-such-option"),
            ([], "image"),
            (["image", "--hash", "sha384:12"], "--hash"),
            (["image", "--hash", "md5:d41d8cd98f00b204e9800998ecf8427e"], "--hash"),
            (["image", "--events", "99"], "--events 99"),
            (["image", "--events", "x"], "--events"),
            (["image", "-v", "-q"], "--quiet"),
            (["image", "--retry-timeout", "0"], "--retry-timeout"),
            (["image", "--retry-timeout", "nan"], "--retry-timeout"),
            (["image", "--stall-timeout", "-1"], "--stall-timeout"),
            (["image", "--header", "no colon"], "--header"),
            (["image", "--engine", "dd"], "--engine"),
            (["inspect"], "image"),
            (["disks", "extra"], "extra"),
        ])
        func code64ForABadCommandLine(arguments: [String], says: String) throws {
            let ended = try Program.run(arguments)
            #expect(ended.code == 64, "\(ended.errors)")
            #expect(ended.output == "")
            // And how it is used.
            let lines = ended.errorLines.filter { $0.hasPrefix("Error: ") }
            #expect(lines.count == 1, "\(ended.errors)")
            #expect(lines.first?.contains(says) == true, "\(ended.errors)")
            #expect(ended.errors.lowercased().contains("usage: stream-disk"), "\(ended.errors)")
        }

        @Test(arguments: ["oci://registry.example/image", "ftp://host.example/image"])
        func code64ForAReferenceThatIsNone(reference: String) throws {
            try withTarget { _, disk in
                try expectRefusal(64, [reference], disk: disk, says: [reference, "://"])
            }
        }

        @Test func code65ForAnotherImage() throws {
            try withTarget { image, disk in
                let hash = "sha384:" + String(repeating: "ab", count: 48)
                try expectRefusal(
                    65, [image.path, "--hash", hash], disk: disk,
                    says: ["metadata.json", image.manifest.metadataSha384, "not the image"])
                try expectRefusal(65, ["/bin/sh"], disk: disk, says: ["invalid image", "tar"])
            }
        }

        @Test func code65ForACorruptImageWhoseDiskHasNoTableThen() throws {
            try withTarget { image, disk in
                try withTemporaryFolder { folder in
                    var bytes = try image.bytes
                    let region = try image.region("root")
                    bytes[try image.fileOffset(of: region) + 2_000_000] ^= 1
                    let changed = folder.appending(path: "changed.cosi")
                    try Data(bytes).write(to: changed)
                    let ended = try Program.run([changed.path, "--disk", disk, "--yes", "-q"], events: true)
                    expectFailure(
                        ended, 65, says: ["invalid image", region.path, "no partition table", "run again"])
                    #expect(try tablesLeft(on: disk) == [])
                    let last = try #require(ended.events.last)
                    #expect(last["event"] as? String == "error")
                    #expect(last["code"] as? Int == 65)
                    // Whichever of the two is found first.
                    #expect(["image.data", "image.dataHash"].contains(last["kind"] as? String))
                    #expect(last["diskState"] as? String == "withoutTable")
                    #expect(ended.errors.contains(last["message"] as? String ?? "none"))
                    #expect(ended.phases == ["preflight", "invalidate", "write"])
                }
            }
        }

        @Test func code66ForNoSuchImage() throws {
            try withTarget { _, disk in
                try expectRefusal(66, ["/none/image.cosi"], disk: disk, says: ["/none/image.cosi", "no such", "check"])
                try expectRefusal(66, ["file:///none/image.cosi"], disk: disk, says: ["/none/image.cosi", "no such"])
                let nginx = try Nginx()
                let url = nginx.url("none.cosi")
                try expectRefusal(66, [url], disk: disk, says: [url, "404", "check"])
                let inspected = try Program.run(["inspect", url])
                expectFailure(inspected, 66, says: [url, "404"])
            }
        }

        @Test func code69ForASourceOutOfReach() throws {
            try withTarget { image, disk in
                // A port that nobody listens on any more.
                let url = try FaultServer([]).url()
                try expectRefusal(69, [url, "--retry-timeout", "1"], disk: disk, says: [url, "try again"])
                // A certificate that nobody vouches for.
                let nginx = try Nginx()
                try nginx.serve("image.cosi", image.bytes)
                let secure = nginx.tlsURL("image.cosi")
                try expectRefusal(69, [secure], disk: disk, says: [secure, "certificate"])
                let trusted = try Program.run([secure, "--disk", disk, "--yes", "-q", "--cacert", nginx.caFile])
                #expect(trusted.code == 0, "\(trusted.errors)")
            }
        }

        @Test func code69ForASourceThatGoesAwayOnTheWay() throws {
            try withTarget { image, disk in
                let server = try FaultServer(image.bytes) { request in
                    guard let range = request.range, range.lowerBound > 0, range.count > 4096 else {
                        return FaultServer.Answer()
                    }
                    return range.lowerBound < 2_000_000 ? FaultServer.Answer().ending(.cut(2_000_000)) : .nothing
                }
                let ended = try Program.run(
                    [server.url(), "--disk", disk, "--yes", "--retry-timeout", "1"], events: true)
                expectFailure(ended, 69, says: [server.url(), "byte", "run again"], isQuiet: false)
                #expect(try tablesLeft(on: disk) == [])
                #expect(ended.eventNames.contains("retry"))
                #expect(ended.errors.contains("retrying from ") && ended.errors.contains("s of 1 s"))
                #expect(ended.events.last?["offset"] as? Int ?? 0 > 2_000_000)
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func code74ForADiskThatFails() throws {
            let image = try SampleImage.make()
            try withFailingDisk(sizeBytes: image.diskBytes, failsAfterMiB: 9) { disk in
                let ended = try Program.run([image.path, "--disk", disk, "--yes", "-q"], events: true)
                expectFailure(ended, 74, says: [disk, "a write of", "at byte", "no partition table"])
                #expect(ended.events.last?["kind"] as? String == "device")
                #expect(ended.events.last?["offset"] as? Int ?? 0 > 0)
                #expect(try tablesLeft(on: disk) == [])
            }
        }

        @Test func code75ForADiskAnotherRunHolds() throws {
            try withTarget { image, disk in
                let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
                try nginx.serve("image.cosi", image.bytes)
                let first = try Running([nginx.url("image.cosi"), "--disk", disk, "--yes", "-q"], events: true)
                try first.waitForBytes()
                let second = try Program.run([image.path, "--disk", disk, "--yes", "-q"])
                expectFailure(second, 75, says: [disk, "lock", "Nothing was written"])
                // The first one was not disturbed: it is at work.
                #expect(first.process.isRunning)
                first.signal(SIGTERM)
                #expect(try first.wait().code == 143)
            }
        }

        @Test func code76ForAServerThatCannotServeIt() throws {
            try withTarget { image, disk in
                try withTemporaryFolder { folder in
                    let reordered = try image.repacked(in: folder, isTableLast: true)
                    let nginx = try Nginx(.init(doesRanges: false))
                    try nginx.serve("image.cosi", Array(Data(contentsOf: URL(filePath: reordered))))
                    let url = nginx.url("image.cosi")
                    try expectRefusal(76, [url], disk: disk, says: [url, "range", "download it"])
                }
            }
        }

        @Test(arguments: [401, 403]) func code77ForAServerThatForbids(status: Int) throws {
            try withTarget { image, disk in
                let server = try FaultServer(image.bytes) { _ in .status(status) }
                try expectRefusal(77, [server.url()], disk: disk, says: [server.url(), "\(status)", "--header @FILE"])
            }
        }

        @Test func code69SaysToTryLaterWhereTheServerIsOverloaded() throws {
            try withTarget { image, disk in
                let server = try FaultServer(image.bytes) { _ in .status(503) }
                try expectRefusal(
                    69, [server.url(), "--retry-timeout", "1"], disk: disk, says: [server.url(), "503", "try again later"])
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func code77ForADiskThatTakesRoot() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                try asNobody { through in
                    try expectRefusal(77, [image.path], disk: device.path, says: [device.path, "root"], through: through)
                }
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func code77ForAnImageThatMayNotBeRead() throws {
            try withTarget { image, disk in
                try withTemporaryFolder { folder in
                    let secret = folder.appending(path: "secret.cosi").path
                    try run("install", ["-m", "600", image.path, secret])
                    try asNobody { through in
                        try expectRefusal(77, [secret], disk: disk, says: [secret], through: through)
                    }
                }
            }
        }

        /// Runs `body` with what makes a program run as nobody, who can enter the folder that the program is in.
        private func asNobody(_ body: ([String]) throws -> Void) throws {
            try withTemporaryFolder { folder in
                let copy = folder.appending(path: "stream-disk").path
                try run("install", ["-m", "755", Program.path, copy])
                // What follows is the program's own path, which is dropped for the copy's.
                let script = "shift; exec \"$0\" \"$@\""
                try body(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script, copy])
            }
        }

        @Test func code78ForWhatIsNoUsableDisk() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes - 512) { disk in
                try expectRefusal(78, [image.path], disk: disk, says: [disk, "too small", "\(image.diskBytes)"])
            }
            for (path, why) in [("/none/disk", "no such"), ("/dev/null", "character device"), ("/tmp", "directory")] {
                let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"])
                expectFailure(ended, 78, says: [path, why, "Nothing was written"])
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func code78ForADiskInUse() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                try withTemporaryFolder { folder in
                    try run("mkfs.ext4", ["-q", device.path])
                    try run("mount", [device.path, folder.path])
                    defer { _ = try? run("umount", [folder.path]) }
                    let file = folder.appending(path: "file").path
                    try run("cp", ["/bin/sh", file])
                    try run("sync", ["-f", file])
                    // Its file system is at work: only the files stay as they are, not every byte.
                    let ended = try Program.run([image.path, "--disk", device.path, "--yes", "-q"])
                    expectFailure(
                        ended, 78, says: [device.path, "mounted on \(folder.path)", "Nothing was written"])
                    try run("umount", [folder.path])
                    try run("e2fsck", ["-fn", device.path])
                    try run("mount", [device.path, folder.path])
                    #expect(try sha256(of: file) == sha256(of: "/bin/sh"))
                }
            }
            try LoopDevice.with(sizeBytes: image.diskBytes, sectorSize: 4096) { device in
                try expectRefusal(78, [image.path], disk: device.path, says: [device.path, "4096", "512"])
            }
            try LoopDevice.with(sizeBytes: image.diskBytes, readOnly: true) { device in
                try expectRefusal(78, [image.path], disk: device.path, says: [device.path, "read-only"])
            }
        }

        /// Only looked at: no run without a named disk may ever write in a test.
        @Test func code78WhenNoDiskFits() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let vast = try image.repacked(in: folder, metadata: ".disk.size = 4503599627370496")
                let ended = try Program.run([vast, "--dry-run", "-q"])
                expectFailure(ended, 78, says: ["no disk fits", "--disk", "Nothing was written"])
            }
        }
    }
}
