import Foundation
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// `verify` and `stream --verify` as a script meets them.
    @Suite struct VerifyCommandTests {
        private func withWritten(_ body: (_ image: SampleImage, _ disk: String) throws -> Void) throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let ended = try Program.run([image.path, "--disk", disk, "--yes", "-q"])
                #expect(ended.code == 0, "\(ended.errors)")
                try body(image, disk)
            }
        }

        @Test func streamReadsBackWhenAsked() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let ended = try Program.run([image.path, "--disk", disk, "--yes", "--verify"], events: true)
                #expect(ended.code == 0, "\(ended.errors)")
                try image.expectStreamed(to: disk, was: was)
                #expect(ended.phases == ["preflight", "invalidate", "write", "verify", "commit", "done"])
                let progress = ended.events.filter { $0["event"] as? String == "progress" }
                let last = try #require(progress.last)
                #expect(last["phase"] as? String == "verify")
                #expect(last["verifiedBytes"] as? UInt64 == last["bytesToVerify"] as? UInt64)
                #expect(last["verifiedBytes"] as? UInt64 ?? 0 >= image.decodedBytes)
                #expect(ended.events.last?["verifiedBytes"] as? UInt64 ?? 0 >= image.decodedBytes)
                #expect(ended.output.contains("read back"))
                #expect(ended.errors.contains("comparing"))
            }
        }

        @Test func code0AndOneLineForADiskThatHoldsTheImage() throws {
            try withWritten { image, disk in
                let before = try sha256(of: disk)
                let hash = "sha384:" + image.manifest.metadataSha384
                let ended = try Program.run(["verify", image.path, "--disk", disk, "--hash", hash], events: true)
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(ended.output.split(separator: "\n").count == 1)
                #expect(ended.output.contains(disk) && ended.output.contains("holds the image") && ended.output.contains(hash))
                #expect(ended.phases == ["preflight", "verify", "done"])
                #expect(ended.events.last?["event"] as? String == "completed")
                #expect(ended.events.last?["written"] as? Bool == false)
                let asJSON = try Program.run(["verify", image.path, "--disk", disk, "--json"])
                #expect((asJSON.code, asJSON.output) == (0, "{\"equal\":true}\n"))
                let quiet = try Program.run(["verify", image.path, "--disk", disk, "-q"])
                #expect((quiet.code, quiet.output, quiet.errors) == (0, "", ""))
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test func code74ForADiskThatHoldsOtherBytes() throws {
            try withWritten { image, disk in
                let root = try image.region("root")
                try flipByte(root.offset + 3_000_000, of: disk)
                let before = try sha256(of: disk)
                let arguments = ["verify", image.path, "--disk", disk, "-q"]
                let ended = try Program.run(arguments, events: true)
                expectFailure(
                    ended, 74,
                    says: [
                        disk, "does not hold this image", "partition \(root.number) 'root'",
                        "1 byte at byte \(root.offset + 3_000_000)",
                    ])
                let last = try #require(ended.events.last)
                #expect(last["kind"] as? String == "device.mismatch" && last["code"] as? Int == 74)
                #expect(last["offset"] as? UInt64 == root.offset + 3_000_000 && last["lengthBytes"] as? Int == 1)
                #expect(last["area"] as? String == "partition")
                let partition = try #require(last["partition"] as? [String: Any])
                #expect(partition["number"] as? Int == root.number && partition["name"] as? String == "root")
                #expect(last["diskState"] as? String == "onlyRead")

                let asJSON = try Program.run(arguments + ["--json"])
                #expect(asJSON.code == 74)
                let object = try #require(
                    try JSONSerialization.jsonObject(with: Data(asJSON.output.utf8)) as? [String: Any])
                #expect(object["equal"] as? Bool == false && object["offset"] as? UInt64 == root.offset + 3_000_000)
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test func everyOtherFaultHasItsOwnCode() throws {
            try withWritten { image, disk in
                let before = try sha256(of: disk)
                let wrong = "sha384:" + String(repeating: "ab", count: 48)
                expectFailure(
                    try Program.run(["verify", image.path, "--disk", disk, "--hash", wrong, "-q"]), 65,
                    says: ["metadata.json", "not the image"])
                expectFailure(
                    try Program.run(["verify", "/none/image.cosi", "--disk", disk, "-q"]), 66, says: ["/none/image.cosi"])
                expectFailure(
                    try Program.run(["verify", image.path, "--disk", "/none/disk", "-q"]), 78, says: ["/none/disk"])
                #expect(try Program.run(["verify", image.path]).code == 64)
                #expect(try Program.run(["verify", image.path, "--disk", disk, "--hash", "md5:0"]).code == 64)
                #expect(try sha256(of: disk) == before)
                try run("truncate", ["-s", "\(image.diskBytes - 512)", disk])
                expectFailure(
                    try Program.run(["verify", image.path, "--disk", disk, "-q"]), 78, says: [disk, "too small"])
            }
        }
    }
}
