import Foundation
import Glibc
import Testing

@testable import TestSupport

private let mib: UInt64 = 1 << 20

/// `stream --partition REF=PATH`: images of single partitions onto targets of their own.
@Suite(.timeLimit(.minutes(10))) struct RegionTests {
    /// A disk full of random bytes with two partitions of 32 MiB and a small one, that the kernel knows by addpart(8): it takes no
    /// table and no support for one. The bytes before and between them stand for tables and other partitions.
    private func withSlots(_ body: (SampleImage, LoopDevice, _ was: String) throws -> Void) throws {
        let image = try SampleImage.make()
        let was = try RandomFile.atLeast(sizeBytes: 80 * mib)
        try LoopDevice.with(sizeBytes: 80 * mib, partitions: true) { device in
            try RandomFile.copy(was, to: device.path, sizeBytes: 80 * mib)
            let partitions = [("1", "2048", "65536"), ("2", "69632", "65536"), ("3", "143360", "2048"), ("4", "147457", "14336")]
            for (number, start, count) in partitions { try run("addpart", [device.path, number, start, count]) }
            defer { for (number, _, _) in partitions { _ = try? run("delpart", [device.path, number]) } }
            try body(image, device, was)
        }
    }

    /// The partition's image as tar and zstd give it, compared with the first bytes of `path`.
    private func expectImage(
        _ image: SampleImage, _ name: String, on path: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let region = try image.region(name)
        let script = """
            set -o pipefail
            tar -xOf "$1" "$2" | zstd -dc --long=31 | cmp --bytes="$4" - "$3" >&2
            [[ $(tar -xOf "$1" "$2" | zstd -dc --long=31 | wc -c) == "$4" ]]
            """
        #expect(throws: Never.self, sourceLocation: sourceLocation) {
            try run("bash", ["-euc", script, "cmp", image.path, region.path, path, "\(region.uncompressedSize)"])
        }
    }

    /// Everything outside of these ranges is what it was.
    private func expectKept(_ path: String, _ was: String, but written: [Range<UInt64>], sizeBytes: UInt64) throws {
        var start: UInt64 = 0
        for range in written + [sizeBytes..<sizeBytes] {
            let count = range.lowerBound - start
            if count > 0 {
                try run("bash", ["-c", "cmp --bytes=\(count) --ignore-initial=\(start) \"$1\" \"$2\" >&2", "cmp", path, was])
            }
            start = range.upperBound
        }
    }

    private func length(_ image: SampleImage, _ name: String) throws -> UInt64 {
        (try image.region(name).uncompressedSize + 511) / 512 * 512
    }

    @Test(
        "A partition is byte for byte what zstd decodes, and every other byte of its disk stays.",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: [["--verify"], ["--engine", "pwrite"]])
    func onePartition(options: [String]) throws {
        try withSlots { image, device, was in
            let number = try image.region("root").number
            let ended = try Program.run(
                [image.path, "--partition", "\(number)=\(device.path)p2", "--yes"] + options, events: true)
            #expect(ended.code == 0, "\(ended.errors)")
            try expectImage(image, "root", on: device.path + "p2")
            let start: UInt64 = 69632 * 512
            try expectKept(device.path, was, but: [start..<start + length(image, "root")], sizeBytes: 80 * mib)
            #expect(ended.phases == ["preflight", "write"] + (options == ["--verify"] ? ["verify"] : []) + ["done"])
            let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
            #expect(plan["disk"] as? String == device.path + "p2")
            let regions = try #require(plan["regions"] as? [[String: Any]])
            #expect((regions.first?["partition"] as? [String: Any])?["number"] as? Int == number)
            #expect((regions.first?["target"] as? [String: Any])?["wholeDisk"] as? String == device.path)
            #expect((plan["partitions"] as? [Any])?.count == 1)
            let completed = try #require(ended.events.last)
            #expect(completed["event"] as? String == "completed")
            #expect(completed["verifiedBytes"] as? UInt64 == (options == ["--verify"] ? try length(image, "root") : 0))
        }
    }

    @Test("A partition is found by number, name and mount point, and what is not there is told with what is.")
    func references() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "slot").path
            let number = try image.region("root").number
            for reference in ["\(number)", "root", "/"] {
                try RandomFile.copy(try RandomFile.atLeast(sizeBytes: 32 * mib), to: path, sizeBytes: 32 * mib)
                let ended = try Program.run([image.path, "--partition", "\(reference)=\(path)", "--yes", "-q"])
                #expect(ended.code == 0, "\(ended.errors)")
                try expectImage(image, "root", on: path)
                try expectKept(
                    path, try RandomFile.atLeast(sizeBytes: 32 * mib), but: [0..<length(image, "root")], sizeBytes: 32 * mib)
            }
            let before = try sha256(of: path)
            for reference in ["99", "nobody", "/nowhere"] {
                let ended = try Program.run([image.path, "--partition", "\(reference)=\(path)", "--yes", "-q"], events: true)
                expectFailure(
                    ended, 66, says: ["no partition '\(reference)'", "\(number) 'root' on /", "'esp'", "Nothing was written"])
                #expect(ended.events.last?["kind"] as? String == "partition.notFound")
            }
            let twice = try Program.run(
                [image.path, "--partition", "root=\(path)", "--partition", "/=\(path)2", "--yes", "-q"])
            expectFailure(twice, 64, says: ["more than once"])
            #expect(try sha256(of: path) == before)
        }
    }

    @Test("A partition that has no image is refused with those that have one.")
    func noImage() throws {
        let image = try SampleImage.make("--size 32M --esp-mib 4 --data-mib 4 --style mkcosi --level 3", imageless: "data")
        try withTemporaryFolder { folder in
            let path = try RandomFile.atLeast(sizeBytes: mib)
            let ended = try Program.run([image.path, "--partition", "data=\(path)", "--dry-run", "-q"])
            expectFailure(ended, 66, says: ["no bytes for partition 'data'", "'root'"])
        }
    }

    @Test("Two partitions go onto two targets in one run.", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func two() throws {
        try withSlots { image, device, was in
            try withTemporaryFolder { folder in
                let file = folder.appending(path: "esp.raw").path
                try RandomFile.copy(was, to: file, sizeBytes: 5 * mib)
                let ended = try Program.run(
                    [image.path, "--partition", "root=\(device.path)p1", "--partition", "esp=\(file)", "--yes", "--verify"],
                    events: true)
                #expect(ended.code == 0, "\(ended.errors)")
                try expectImage(image, "root", on: device.path + "p1")
                try expectImage(image, "esp", on: file)
                try expectKept(file, was, but: [0..<length(image, "esp")], sizeBytes: 5 * mib)
                try expectKept(device.path, was, but: [mib..<mib + length(image, "root")], sizeBytes: 80 * mib)
                let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
                #expect(plan["disk"] is NSNull && (plan["regions"] as? [Any])?.count == 2)
            }
        }
    }

    @Test("A server without ranges serves the wanted image of several in one pass.")
    func onePass() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let nginx = try Nginx(Nginx.Settings(doesRanges: false))
            try nginx.serve("image.cosi", image.bytes)
            for name in ["esp", "root"] {
                let path = folder.appending(path: name).path
                try run("truncate", ["-s", "32M", path])
                let ended = try Program.run([nginx.url("image.cosi"), "--partition", "\(name)=\(path)", "--yes", "-q"])
                #expect(ended.code == 0, "\(ended.errors)")
                try expectImage(image, name, on: path)
            }
        }
    }

    @Test(
        "A target that is in use, too small, misaligned or shared is refused, and not a byte written.",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func refusals() throws {
        try withSlots { image, device, _ in
            func expectRefused(_ code: Int32, _ arguments: [String], says: [String]) throws {
                let before = try sha256(of: device.path)
                let ended = try Program.run([image.path, "--yes", "-q"] + arguments)
                expectFailure(ended, code, says: says + ["Nothing was written"])
                #expect(try sha256(of: device.path) == before)
            }
            let (one, two, small, odd) = (device.path + "p1", device.path + "p2", device.path + "p3", device.path + "p4")
            try expectRefused(78, ["--partition", "root=\(small)"], says: [small, "too small"])
            try expectRefused(78, ["--partition", "root=\(device.path)"], says: ["with partitions", "\(device.name)p1"])
            try expectRefused(78, ["--partition", "root=\(one)", "--partition", "esp=\(one)"], says: [one, "shares bytes"])
            try expectRefused(78, ["--partition", "root=\(one)", "--partition", "esp=\(device.path)"], says: ["shares bytes"])
            try expectRefused(78, ["--partition", "root=\(device.backingFile.path)"], says: ["\(device.name) is built on it"])
            try expectRefused(78, ["--partition", "root=\(device.path)p9"], says: ["no such disk or file"])
            if try String(contentsOfFile: "/sys/class/block/\(device.name)/queue/physical_block_size", encoding: .utf8)
                == "4096\n"
            {
                try expectRefused(78, ["--partition", "esp=\(odd)"], says: [odd, "inside a block of 4096"])
            }
            // The neighbour of a mounted partition can be written, and itself not.
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", one])
                try run("mount", ["-o", "ro", one, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                try expectRefused(78, ["--partition", "root=\(one)"], says: [one, "is mounted on \(folder.path)"])
                let ended = try Program.run([image.path, "--yes", "-q", "--partition", "root=\(two)"])
                #expect(ended.code == 0, "\(ended.errors)")
                try expectImage(image, "root", on: two)
            }
            let loop = try run("losetup", ["--find", "--show", two]).trimmingCharacters(in: .whitespacesAndNewlines)
            defer { _ = try? run("losetup", ["--detach", loop]) }
            try expectRefused(78, ["--partition", "root=\(two)"], says: [two, "is built on it"])
        }
    }

    @Test(
        "Partitions of one disk can be written side by side; a run onto the whole disk keeps them out, and they it.",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func locks() throws {
        try withSlots { image, device, _ in
            func code(_ arguments: [String]) throws -> Int32 { try Program.run([image.path, "--yes", "-q"] + arguments).code }
            func locked<Value>(_ path: String, _ operation: Int32, _ body: () throws -> Value) throws -> Value {
                let holder = unsafe open(path, O_RDONLY | O_CLOEXEC)
                defer { close(holder) }
                #expect(flock(holder, operation) == 0)
                return try body()
            }
            let slot = "root=\(device.path)p1"
            // What a run onto the other slot holds.
            #expect(
                try locked(device.path, LOCK_SH) { try locked(device.path + "p2", LOCK_EX) { try code(["--partition", slot]) } }
                    == 0)
            // What a run onto the disk holds, and one onto the same slot.
            #expect(try locked(device.path, LOCK_EX) { try code(["--partition", slot]) } == 75)
            #expect(try locked(device.path + "p1", LOCK_EX) { try code(["--partition", slot]) } == 75)
            // A run onto a slot, seen by one onto the disk.
            let nginx = try Nginx(Nginx.Settings(limitRate: "500k"))
            try nginx.serve("image.cosi", image.bytes)
            let running = try Running([nginx.url("image.cosi"), "--partition", slot, "--yes"], events: true)
            try running.waitForPhase("write")
            #expect(try code(["--disk", device.path]) == 75)
            #expect(try code(["--partition", "root=\(device.path)p2"]) == 0)
            running.signal(SIGTERM)
            let ended = try running.wait()
            #expect(ended.code == 143)
            #expect(ended.events.last?["diskState"] as? String == "uncertain")
            #expect(ended.errors.contains("no partition table around it was touched"), "\(ended.errors)")
        }
    }

    @Test("A wrong hash is told with the target named as unusable.")
    func wrongHash() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let broken = try image.repacked(
                in: folder,
                metadata:
                    "(.disk.gptRegions[].image, .images[].image) |= (.sha384 = (if .path | test(\"_\(try image.region("root").number)[.]\") then (\"0\" * 96) else .sha384 end))"
            )
            let path = folder.appending(path: "slot").path
            try run("truncate", ["-s", "32M", path])
            let ended = try Program.run([broken, "--partition", "root=\(path)", "--yes", "-q"], events: true)
            expectFailure(ended, 65, says: ["SHA-384", "do not use it", "no partition table around it was touched"])
            #expect(ended.events.last?["kind"] as? String == "image.dataHash")
            // Its neighbour is whole, and nobody looks at what was not asked for.
            #expect(try Program.run([broken, "--partition", "esp=\(path)", "--yes", "-q"]).code == 0)
        }
    }

    @Test("A file that is removed, or replaced, while it is written is no success.")
    func fileGone() throws {
        let image = try SampleImage.make()
        let nginx = try Nginx(Nginx.Settings(limitRate: "2m"))
        try nginx.serve("image.cosi", image.bytes)
        try withTemporaryFolder { folder in
            let (path, other) = (folder.appending(path: "slot").path, folder.appending(path: "other").path)
            for change in [["rm", path], ["mv", other, path]] {
                try run("truncate", ["-s", "32M", path, other])
                let running = try Running([nginx.url("image.cosi"), "--partition", "root=\(path)", "--yes"], events: true)
                try running.waitForPhase("write")
                try run(change[0], Array(change.dropFirst()))
                let ended = try running.wait()
                #expect(ended.code == 74, "\(change): \(ended.errors)")
                #expect(ended.events.last?["diskState"] as? String == "uncertain")
            }
        }
    }

    @Test("A partition table at the beginning of a target is told before it is overwritten.")
    func tableIsTold() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "disk.raw").path
            try run("truncate", ["-s", "64M", path])
            let plain = try Program.run([image.path, "--partition", "root=\(path)", "--dry-run"])
            #expect(plain.output.contains("and so do all partition tables"), "\(plain.output)")
            try run("bash", ["-c", "sfdisk --quiet \"$1\" <<< $'label: gpt\\nsize=10M'", "table", path])
            let ended = try Program.run([image.path, "--partition", "root=\(path)", "--dry-run"])
            #expect(ended.errors.contains("\(path): it has a gpt partition table, which is overwritten"), "\(ended.errors)")
            #expect(ended.output.contains("and so do all other partition tables"), "\(ended.output)")
        }
    }

    @Test(
        "Two partitions of a loop device over a loop device go into one run.",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func twoOverLoop() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: 80 * mib) { below in
            let loop = try run("losetup", ["--find", "--show", "--partscan", below.path])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            defer { _ = try? run("losetup", ["--detach", loop]) }
            for (number, start) in [("1", "2048"), ("2", "69632")] { try run("addpart", [loop, number, start, "65536"]) }
            defer { for number in ["1", "2"] { _ = try? run("delpart", [loop, number]) } }
            let onto = ["--partition", "root=\(loop)p1", "--partition", "esp=\(loop)p2"]
            let ended = try Program.run([image.path, "--yes", "--verify", "-q"] + onto)
            #expect(ended.code == 0, "\(ended.errors)")
            try expectImage(image, "root", on: loop + "p1")
            try expectImage(image, "esp", on: loop + "p2")
        }
    }

    @Test("A dry run and a target that is the image write nothing.")
    func dryRun() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "slot").path
            try RandomFile.copy(try RandomFile.atLeast(sizeBytes: 32 * mib), to: path, sizeBytes: 32 * mib)
            let before = try sha256(of: path)
            let ended = try Program.run([image.path, "--partition", "root=\(path)", "--dry-run"])
            #expect(ended.code == 0, "\(ended.errors)")
            for part in ["onto", path, "what lies behind an image stays", "nothing was written"] {
                #expect(ended.output.contains(part), "\(ended.output)")
            }
            #expect(try sha256(of: path) == before)
            let copy = folder.appending(path: "copy.cosi").path
            try run("cp", [image.path, copy])
            try run("truncate", ["-s", "40M", copy])
            let own = try Program.run([image.path, "--partition", "root=\(image.path)", "--yes", "-q"])
            expectFailure(own, 78, says: ["the image is read from it"])
        }
    }

    @Test("--partition with --disk, without a path or without a yes is a usage error.")
    func usage() throws {
        for arguments in [
            ["--partition", "1=x", "--disk", "y", "--yes"], ["--partition", "1=", "--yes"], ["--partition", "=x", "--yes"],
            ["--partition", "1", "--yes"], ["--partition", "1=x"],
        ] {
            let ended = try Program.run(["image.cosi"] + arguments)
            #expect(ended.code == 64, "\(arguments): \(ended.errors)")
        }
    }
}
