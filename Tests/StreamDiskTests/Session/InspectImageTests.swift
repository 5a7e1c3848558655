import StreamDisk
import Testing

@testable import TestSupport

@Suite("What an image holds, asked of the library")
struct InspectImageTests {
    @Test("A reference that makes no sense is an error like any other, of each entry.")
    func aWrongReferenceIsAStreamError() throws {
        let errors = [
            try failure { _ = try inspectImage(from: try makeImageSource("ftp://host/x")) },
            try failure { _ = try verifyImage(from: try makeImageSource("ftp://host/x"), onDisk: "/none") },
            try failure { _ = try streamImage(from: try makeImageSource("ftp://host/x"), to: .path("/none")) },
        ]
        for error in errors {
            #expect((error?.kind, error?.code, error?.phase) == ("source.invalidReference", 64, .preflight))
        }
        #expect(errors.map { $0?.disk } == [.onlyRead, .onlyRead, .untouched])
    }

    @Test("A hash that is not the image's is told by its kind.")
    func anotherHashIsRefused() throws {
        let image = try SampleImage.make()
        var options = StreamOptions()
        #expect(try inspectImage(from: try makeImageSource(image.path)).partitionRegions.count == image.manifest.regions.count)
        options.hash = .sha384([UInt8](repeating: 0, count: 48))
        let error = try failure { _ = try inspectImage(from: try makeImageSource(image.path), options: options) }
        #expect((error?.kind, error?.phase) == ("image.hash", .preflight))
    }

    @Test("A cancellation ends it.")
    func aCancelledInspectionEnds() throws {
        let image = try SampleImage.make()
        let cancellation = Cancellation()
        cancellation.cancel()
        let error = try failure { _ = try inspectImage(from: try makeImageSource(image.path), cancellation: cancellation) }
        #expect(error?.kind == "cancelled")
    }
}
