import CosiFormat
import Foundation
import Testing

/// The published samples (Tests/Samples/trident), judged by our policy: what does no harm is accepted with a warning.
@Suite struct MetadataSampleTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Samples/trident")

    private static func samples(_ kind: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder.appending(path: kind), includingPropertiesForKeys: nil)
    }

    @Test("The valid samples are accepted.")
    func valid() throws {
        let samples = try Self.samples("valid")
        #expect(samples.count == 2)
        for sample in samples { _ = try CosiMetadata.parse(Array(try Data(contentsOf: sample))) }
    }

    @Test("Of the invalid samples all are refused but two, which are accepted with a warning.")
    func invalid() throws {
        var accepted: [String] = []
        let samples = try Self.samples("invalid")
        #expect(samples.count == 12)
        for sample in samples {
            do throws(FormatError) {
                let bytes = (try? Data(contentsOf: sample)) ?? Data()
                let (_, warnings) = try CosiMetadata.parse(Array(bytes))
                #expect(!warnings.isEmpty, "\(sample.lastPathComponent)")
                accepted.append(sample.lastPathComponent)
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(accepted.sorted() == ["missing-os-packages.json", "unknown-bootloader-type.json"])
    }
}
