import CosiFormat
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("What the library says of a fault, and what a front-end makes of it")
struct WordingTests {
    /// One of each that points to a setting.
    private static let faults: [(fault: StreamFault, setting: Setting)] = [
        (.architecture(image: .arm64, host: .x86_64), .disk),
        (.disk(DiskSelectionError(.noneFits, path: nil, reason: "no disk fits")), .disk),
        (.disk(DiskSelectionError(.noneMatches, path: nil, reason: "no disk is")), .selection),
        (.disk(DiskSelectionError(.busy, path: "/dev/x", reason: "in use", isChosen: true)), .disk),
        (.memory(neededBytes: 2 << 20, limit: MemoryLimit(bytes: 1 << 20, origin: .asked)), .memoryLimit),
        (.memory(neededBytes: 2 << 20, limit: MemoryLimit(bytes: 1 << 20, origin: .host)), .memoryLimit),
        (.image(.hash, "metadata.json", "has another SHA-384"), .hash),
        (.source(SourceError(.unreachable, source: "x", reason: "r", advice: .trustAuthority)), .authorities),
        (.source(SourceError(.notPermitted, source: "x", reason: "r", advice: .giveClientCertificate)), .clientCertificate),
        (.source(SourceError(.unreachable, source: "x", reason: "r", advice: .agreeOnTLS)), .clientKey),
        (.source(SourceError(.unreachable, source: "x", reason: "r", advice: .usePlainHTTP)), .plainHTTP),
        (.source(SourceError(.notPermitted, source: "x", reason: "r", advice: .giveCredentials)), .headers),
        (.source(SourceError(.unusableFile, source: "x", reason: "r", advice: .check(.clientKey))), .clientKey),
    ]

    @Test("The library names no option; a front-end's name for the setting stands in its message.")
    func settingsAreNamedByTheFrontEnd() {
        let wording = Wording { "NAME-OF-\($0)" }
        for (fault, setting) in Self.faults {
            #expect(!fault.description.contains("--") && !fault.description.contains("()"), "\(fault)")
            #expect(fault.message(wording).contains("NAME-OF-\(setting)"), "\(fault.message(wording))")
        }
        #expect(!StreamWarning.hashNotGiven.description.contains("--"))
        #expect(StreamWarning.hashNotGiven.message(wording).contains("(NAME-OF-hash)"))
    }

    @Test("Who cancels says why.")
    func aCancellationIsToldInTheCallersWords() {
        let error = StreamError(cause: .cancelled, phase: .write, disk: .withoutTable)
        #expect(error.description.hasPrefix("interrupted. The disk was partly written"))
        #expect(error.message(Wording(cancelled: "not confirmed")).hasPrefix("not confirmed. The disk"))
    }

    @Test("Each kind of fault has a word of its own that begins with the part that failed.")
    func kindsAreStable() {
        let images = FormatError.Code.allCases.map { StreamFault.image($0, "x", "y").kind }
        #expect(
            images == [
                "image.notCosi", "image.tar", "image.truncated", "image.hash", "image.version", "image.metadata", "image.gpt",
                "image.layout", "image.entryMissing", "image.dataHash", "image.data",
            ])
        #expect(StreamFault.architecture(image: .arm64, host: nil).kind == "architecture")
        #expect(Self.faults.map(\.fault.code) == [65, 78, 78, 75, 78, 78, 65, 69, 77, 69, 69, 77, 64])
        let mismatch = DiskMismatch(.written, path: "/dev/x", area: .mbr, range: 512..<1024)
        let error = StreamError(cause: .mismatch(mismatch), phase: .verify, disk: .withoutTable)
        #expect((error.kind, error.code, error.offset) == ("device.mismatch", 74, 512))
    }

    @Test("Numbers, order and escapes of what programs read.")
    func jsonIsWrittenInOneForm() throws {
        let value = JSONValue.object([
            "b": .list([.number(1), .number(0.5), .number(-3), .number(.infinity), .number(1e300), .count(.max)]),
            "a": .object([
                "text": .text("é\u{7}\"\\/\n\u{1F600}\u{E0001}"), "none": .null, "yes": .flag(true), "empty": .list([]),
            ]),
        ])
        #expect(
            value.line == #"{"a":{"empty":[],"none":null,"text":"é\u0007\"\\/\n😀\udb40\udc01","yes":true},"#
                + #""b":[1,0.5,-3,null,1e+300,18446744073709551615]}"#)
        for text in [value.line, value.pretty] {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect((object["a"] as? [String: Any])?["text"] as? String == "é\u{7}\"\\/\n\u{1F600}\u{E0001}")
            #expect((object["b"] as? [Any])?.count == 6)
        }
        #expect(JSONValue.object(["a": .list([.count(1), .object([:])])]).pretty == "{\n  \"a\" : [\n    1,\n    {}\n  ]\n}\n")
    }
}
