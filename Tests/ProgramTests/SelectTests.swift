import Foundation
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// `--select`: a disk is chosen by what is known of it.
    @Suite struct SelectTests {
        @Test(
            "What cannot be asked for is refused with the keys that can (64).",
            arguments: [
                "hctl=1:0:0:0", "model", "=x", "", "serial=", "serial= ", "model=<in>", "size=big", "size>500G", "size=1e9",
                "size>=500107862016", "rotational=maybe", "rotational>=1",
            ])
        func badHints(hint: String) throws {
            for verb in [["stream", "/none/image.cosi", "--dry-run"], ["disks"]] {
                let ended = try Program.run(verb + ["--select", hint])
                #expect(ended.code == 64, "\(ended.errors)")
                #expect(ended.errors.contains("--select '\(hint)'"), "\(ended.errors)")
            }
            if hint.hasPrefix("hctl") {
                let ended = try Program.run(["disks", "--select", hint])
                #expect(
                    ended.errors.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                        .contains("serial, wwn, model, vendor, name, by_path, rotational, size"), "\(ended.errors)")
            }
        }

        @Test("--disk names a disk and --select chooses one: together they are refused (64).")
        func withADisk() throws {
            let ended = try Program.run(["/none/image.cosi", "--disk", "/none/disk", "--select", "model=x", "--yes"])
            #expect(ended.code == 64 && ended.errors.contains("--select"), "\(ended.errors)")
        }

        @Test("Where no disk is what is asked for, the run ends with 78 and the reasons of each, and nothing is written.")
        func noneMatches() throws {
            let image = try SampleImage.make()
            let ended = try Program.run([image.path, "--select", "serial=of no disk", "--dry-run"])
            expectFailure(ended, 78, says: ["serial=of no disk", "--select", "Nothing was written"])
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aDiskThatIsNamedByItIsWrittenAndThePlanSaysWhy() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                // A loop device's name is that of no other disk, so nothing else of this host can be taken.
                let select = ["--select", "name=\(device.path)", "--select", "size>=1M"]
                let plan = try Program.run([image.path] + select + ["--dry-run"], events: true)
                #expect(plan.code == 0, "\(plan.errors)")
                #expect(plan.output.contains("that is name=\(device.path), size>=1M, that fits"), "\(plan.output)")
                let event = try #require(plan.events.first { $0["event"] as? String == "plan" })
                #expect(event["select"] as? [String] == ["name=\(device.path)", "size>=1M"])
                let candidates = try #require(event["candidates"] as? [[String: Any]])
                #expect(candidates.filter { $0["chosen"] as? Bool == true }.map { $0["path"] as? String } == [device.path])
                for other in candidates where other["chosen"] as? Bool == false {
                    let codes = (other["reasons"] as? [[String: Any]] ?? []).map { $0["code"] as? String }
                    #expect(codes.contains("notSelected"), "\(other)")
                }
                let disks = try Program.run(["disks", "--json"] + select)
                let listed = try #require(
                    try JSONSerialization.jsonObject(with: Data(disks.output.utf8)) as? [[String: Any]])
                #expect(listed.filter { $0["candidate"] as? Bool == true }.map { $0["path"] as? String } == [device.path])

                let ended = try Program.run([image.path] + select + ["--yes", "-q"])
                #expect(ended.code == 0, "\(ended.errors)")
                let verified = try Program.run(["verify", image.path, "--disk", device.path, "-q"])
                #expect(verified.code == 0, "\(verified.errors)")
                // A disk in use is never taken, by whatever it is named.
                try withTemporaryFolder { folder in
                    try run("mkfs.ext4", ["-q", "-F", device.path])
                    try run("mount", [device.path, folder.path])
                    defer { _ = try? run("umount", [folder.path]) }
                    let refused = try Program.run([image.path] + select + ["--yes", "-q"])
                    expectFailure(refused, 78, says: ["mounted on", "Nothing was written"])
                }
            }
        }
    }
}
