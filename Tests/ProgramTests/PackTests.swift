import Foundation
import Glibc
import Testing

@testable import TestSupport

/// From a disk to an image by the program, and back. The disks are made by Tests/Images/make-disk, of standard tools.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PackTests {
    private static let tools = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools").path

    /// Start and length of the partitions in MiB, by number.
    private static let places = [1: (1, 40), 2: (41, 64), 3: (105, 16), 6: (121, 48), 4: (170, 4)]

    private func withDisk<Value>(_ blockBytes: Int = 512, _ body: (_ disk: String, _ folder: URL) throws -> Value) throws -> Value
    {
        try withTemporaryFolder { folder in
            let disk = folder.appending(path: "disk.raw").path
            try run(SampleImage.imagesFolder + "/make-disk", [disk, "\(blockBytes)"])
            return try body(disk, folder)
        }
    }

    private func pack(_ disk: String, _ image: String, _ options: String...) throws -> Ended {
        try Program.run(["pack", disk, image] + options)
    }

    private func hash(_ path: String) throws -> String { String(try run("sha256sum", [path]).prefix(64)) }

    /// The bytes of one partition in a file of their own.
    private func part(_ number: Int, of disk: String, _ folder: URL) throws -> String {
        let (start, length) = try #require(Self.places[number])
        let path = folder.appending(path: "part-\(UUID().uuidString)").path
        try run("dd", ["if=\(disk)", "of=\(path)", "bs=1M", "skip=\(start)", "count=\(length)", "status=none"])
        return path
    }

    @Test("A packed disk streams back: files and raw bytes are the same, free blocks are zero", arguments: [512, 4096])
    func roundTrip(blockBytes: Int) throws {
        try withDisk(blockBytes) { disk, folder in
            let before = try hash(disk)
            let image = folder.appending(path: "disk.cosi").path
            let packed = try pack(disk, image)
            #expect(packed.code == 0, "\(packed.errors)")
            #expect(packed.output.contains(image) && packed.output.contains("\nsha384:"), "\(packed.output)")
            #expect(try hash(disk) == before, "the source is as it was")
            try run(Self.tools + "/check-metadata", [image])

            let back = folder.appending(path: "back.raw").path
            try run("truncate", ["-s", "192M", back])
            let sha = try #require(packed.output.split(separator: "\n").last.map(String.init))
            let ended = try Program.run([image, "--disk", back, "--hash", sha, "--yes", "-q", "--verify"])
            #expect(ended.code == 0, "\(ended.errors)")
            // A raw partition has every byte.
            try run("cmp", [try part(4, of: disk, folder), try part(4, of: back, folder)])
            for number in [2, 6] {
                let (one, two) = (try part(number, of: disk, folder), try part(number, of: back, folder))
                try run("e2fsck", ["-fn", two])
                for (index, copy) in [one, two].enumerated() {
                    try FileManager.default.createDirectory(
                        at: folder.appending(path: "tree\(number)\(index)"), withIntermediateDirectories: true)
                    try run("debugfs", ["-R", "rdump / \(folder.path)/tree\(number)\(index)", copy])
                }
                try run("diff", ["-r", "\(folder.path)/tree\(number)0", "\(folder.path)/tree\(number)1"])
            }
            let esp = try part(1, of: back, folder)
            try run("fsck.vfat", ["-n", esp])
            // Twelve deleted MiB do not travel.
            let size = try FileManager.default.attributesOfItem(atPath: image)[.size] as? UInt64 ?? 0
            #expect(size < 7 << 20, "\(size)")
        }
    }

    @Test("The metadata says what the disk says: mount points, system, packages, architecture")
    func facts() throws {
        try withDisk { disk, folder in
            let image = folder.appending(path: "disk.cosi").path
            #expect(try pack(disk, image, "-q").code == 0)
            let text = try run("tar", ["-xOf", image, "metadata.json"])
            let root = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(root["osArch"] as? String == "x86_64")
            #expect((root["osRelease"] as? String)?.contains("Testix 1") == true)
            #expect((root["osPackages"] as? [[String: String]])?.map { $0["name"] } == ["libc6"])
            let images = try #require(root["images"] as? [[String: Any]])
            #expect(images.map { $0["mountPoint"] as? String } == ["/boot/efi", "/", "/data"])
            #expect(images.first?["fsUuid"] as? String == "A1B2-C3D4")
        }
    }

    @Test("Two packs are equal, and so is one of the same disk as qcow2 or as a fixed VHD")
    func deterministic() throws {
        try withDisk { disk, folder in
            func path(_ name: String) -> String { folder.appending(path: name).path }
            #expect(try pack(disk, path("one"), "-q").code == 0)
            #expect(try pack(disk, path("two"), "-q").code == 0)
            try run("cmp", [path("one"), path("two")])
            for format in [["qcow2"], ["vhdx"], ["vpc", "-o", "subformat=fixed,force_size"]] {
                let virtual = path("virtual")
                try run("qemu-img", ["convert", "-O"] + format + [disk, virtual])
                let ended = try pack(virtual, path("two"), "-q", "--force")
                #expect(ended.code == 0, "\(ended.errors)")
                try run("cmp", [path("one"), path("two")])
            }
        }
    }

    @Test("Overrides win, a partition that is left out has no image, and a shrunk file system is sound")
    func options() throws {
        try withDisk { disk, folder in
            let (image, json) = (folder.appending(path: "disk.cosi").path, folder.appending(path: "over.json").path)
            try #"{"id":"22222222-2222-4333-8444-555555555555","images":[{"number":6,"mountPoint":"/srv"}]}"#
                .write(toFile: json, atomically: true, encoding: .utf8)
            let ended = try pack(disk, image, "-q", "--shrink", "--without", "4", "--metadata", json, "--os-arch", "arm64")
            #expect(ended.code == 0, "\(ended.errors)")
            try run(Self.tools + "/check-metadata", [image])
            let shown = try Program.run(["inspect", image, "--json"])
            #expect(shown.code == 0)
            for part in ["\"arm64\"", "\"/srv\"", "22222222-2222"] { #expect(shown.output.contains(part), "\(shown.output)") }
            let data = folder.appending(path: "data").path
            try run("bash", ["-c", "tar -xOf \"$1\" images/disk_6.raw.zst | zstd -dqo \"$2\"", "x", image, data])
            try run("e2fsck", ["-fn", data])
            let size = try FileManager.default.attributesOfItem(atPath: data)[.size] as? UInt64 ?? 0
            #expect(size < 40 << 20)
            #expect(try !run("tar", ["-tf", image]).contains("disk_4"))
        }
    }

    @Test(
        "Overrides that cannot hold are refused, and there is no image",
        arguments: [
            (#"{"version":"9.9"}"#, "version"), (#"{"disk":{}}"#, "disk"), (#"{"compression":null,"osArch":"vax"}"#, "osArch"),
            (#"{"images":[{"number":6,"mountPoint":"srv"}]}"#, "must begin with /"),
        ])
    func wrongOverrides(json: String, says: String) throws {
        try withDisk { disk, folder in
            let (image, path) = (folder.appending(path: "disk.cosi").path, folder.appending(path: "over.json").path)
            try json.write(toFile: path, atomically: true, encoding: .utf8)
            let ended = try pack(disk, image, "-q", "--metadata", path)
            #expect(ended.code == 64 && ended.errors.contains(says), "\(ended.errors)")
            #expect(!FileManager.default.fileExists(atPath: image))
        }
    }

    @Test("What it says for programs is as documented")
    func events() throws {
        try withDisk { disk, folder in
            let image = folder.appending(path: "disk.cosi").path
            let ended = try Program.run(["pack", disk, image, "-q"], events: true)
            #expect(ended.phases == ["preflight", "write", "commit", "done"])
            #expect(ended.eventNames.last == "completed")
            let again = try Program.run(["pack", disk, image, "-q"], events: true)
            #expect(again.code == 64 && again.events.last?["kind"] as? String == "output.exists")
            for lines in [ended.eventLines, again.eventLines] { try check(lines, "events", folder) }
            let inspected = try Program.run(["inspect", disk, "--json"])
            try check(inspected.output, "packPlan", folder)
        }
    }

    private func check(_ text: String, _ form: String, _ folder: URL) throws {
        let path = folder.appending(path: "said").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try run("bash", ["-c", "\"$1\" \"$2\" < \"$3\" >&2", "check", Program.checkJSON, form, path])
    }

    @Test("A run that is interrupted or killed leaves no file")
    func interrupted() throws {
        try withDisk { disk, folder in
            let image = folder.appending(path: "disk.cosi").path
            for number in [SIGTERM, SIGINT, SIGKILL] {
                let running = try Running(["pack", disk, image, "--level", "19"], events: true)
                try running.waitForPhase("write")
                running.signal(number)
                let ended = try running.wait()
                #expect(ended.code == (number == SIGKILL ? 1000 + SIGKILL : 128 + number), "\(ended.errors)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["disk.raw"])
            }
        }
    }

    @Test("Wrong input gets one clear line and its code")
    func refusals() throws {
        try withDisk { disk, folder in
            func path(_ name: String) -> String { folder.appending(path: name).path }
            try run("truncate", ["-s", "10M", path("empty")])
            try run("cp", ["--sparse=always", path("empty"), path("mbr")])
            try run("bash", ["-c", "sfdisk -q \"$1\" <<< $'label: dos\\nsize=5M'", "mbr", path("mbr")])
            try run("bash", ["-c", "head -c 100M \"$1\" > \"$2\"", "cut", disk, path("cut")])
            try "here".write(toFile: path("there"), atomically: true, encoding: .utf8)
            let image = path("out.cosi")
            let cases: [([String], Int32, [String])] = [
                ([path("none"), image], 66, ["there is no such disk or file"]),
                ([path("empty"), image], 65, ["it has no partition table"]),
                ([path("mbr"), image], 65, ["MBR partition table", "sgdisk --mbrtogpt"]),
                ([path("cut"), image], 65, ["it is cut off"]),
                ([folder.path, image], 78, ["a directory, not a disk"]),
                ([disk, image, "--block-size", "4096"], 64, ["blocks of 512 bytes, not of 4096", "--block-size"]),
                ([disk, image, "--without", "9"], 64, ["there is no partition 9; there is 1, 2, 3, 4, 6"]),
                ([disk, path("there")], 64, ["exists", "--force"]), ([disk, path("no/out")], 74, ["No such file or directory"]),
                ([disk, disk, "--force"], 64, ["what is to be packed"]),
                ([disk, "/dev/full", "--force"], 64, ["no regular file"]),
            ]
            for (arguments, code, says) in cases {
                expectFailure(try Program.run(["pack"] + arguments + ["-q"]), code, says: says)
            }
            #expect(try Program.run(["pack", disk, "-"]).code == 64)
            #expect(try String(contentsOfFile: path("there"), encoding: .utf8) == "here")
            #expect(!FileManager.default.fileExists(atPath: image))
        }
    }

    @Test(
        "A disk whose partition is mounted read-write is refused by name, one mounted read-only is packed, a full output is no image",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func mounted() throws {
        try withDisk { disk, folder in
            let loop = try run("losetup", ["--find", "--show", "--partscan", disk]).trimmingCharacters(
                in: .whitespacesAndNewlines)
            defer { _ = try? run("losetup", ["--detach", loop]) }
            for number in [2] {
                let (start, length) = try #require(Self.places[number])
                _ = try? run("addpart", [loop, "\(number)", "\(start * 2048)", "\(length * 2048)"])
            }
            defer { _ = try? run("delpart", [loop, "2"]) }
            let image = folder.appending(path: "disk.cosi").path
            let mount = folder.appending(path: "mount").path
            try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
            try run("mount", [loop + "p2", mount])
            defer { _ = try? run("umount", [mount]) }
            let name = loop.split(separator: "/").last.map(String.init) ?? ""
            expectFailure(try pack(loop, image, "-q"), 78, says: ["\(name)p2 is mounted on \(mount)", "read-only"])
            try run("mount", ["-o", "remount,ro", mount])
            let ended = try pack(loop, image, "-q")
            #expect(ended.code == 0, "\(ended.errors)")
            let small = folder.appending(path: "small").path
            try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
            try run("mount", ["-t", "tmpfs", "-o", "size=2M", "tmpfs", small])
            defer { _ = try? run("umount", [small]) }
            expectFailure(try pack(loop, small + "/out.cosi", "-q"), 74, says: ["No space left on device", small])
            #expect(try FileManager.default.contentsOfDirectory(atPath: small) == [])
        }
    }
}
