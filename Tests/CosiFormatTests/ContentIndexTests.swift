import Testing

@testable import CosiFormat

/// docs/CONTENT_INDEX.md.
@Suite struct ContentIndexTests {
    private static let image = CosiMetadata.ImageFile(
        path: "images/a", compressedSizeBytes: 5000, uncompressedSizeBytes: 4096 + (1 << 20) + 512,
        sha384: [UInt8](repeating: 0, count: 48))

    private static let place = CosiMetadata.ContentIndexPlace(offset: 8, sizeBytes: 256, sha384: [UInt8](repeating: 0, count: 48))

    private static let index = ContentIndex(
        meanFrameBytes: 1 << 20,
        frames: [
            frame(1000, 3000, 0, 4096, false), frame(4000, 500, 4096, 1 << 20, true),
            frame(4500, 500, 4096 + (1 << 20), 512, false),
        ])

    private static func frame(
        _ compressed: UInt64, _ compressedBytes: UInt32, _ content: UInt64, _ contentBytes: UInt32, _ isZero: Bool
    ) -> ContentIndex.Frame {
        ContentIndex.Frame(
            compressedOffset: compressed, compressedBytes: compressedBytes, contentOffset: content, contentBytes: contentBytes,
            isZero: isZero, sha256: ContentHash((0..<32).map { UInt8($0) ^ UInt8(contentBytes >> 9 & 0xFF) }))
    }

    @Test("An index is read as it was written")
    func roundTrip() throws {
        let bytes = Self.index.encoded()
        #expect(bytes.count == ContentIndex.byteCount(frames: 3))
        #expect(try ContentIndex(bytes, of: Self.image, at: Self.place) == Self.index)
    }

    @Test("Every byte outside the hashes is checked: none can change unnoticed")
    func mutations() {
        let bytes = Self.index.encoded()
        for at in bytes.indices {
            // The 32 bytes of a hash, and the mean, which may be another one.
            if at >= 64, at % 64 >= 32 { continue }
            if 36..<40 ~= at { continue }
            var changed = bytes
            changed[at] ^= 0x10
            // The flag of a frame can be wrong and valid: only its content tells.
            #expect(throws: FormatError.self, "byte \(at)") { try ContentIndex(changed, of: Self.image, at: Self.place) }
        }
    }

    @Test("An index that is cut off, or of another length than its frames take, is refused", arguments: [0, 8, 63, 64, 255, 257])
    func lengths(count: Int) {
        let bytes = Self.index.encoded() + [0]
        #expect(throws: FormatError.self) { try ContentIndex(Array(bytes[..<count]), of: Self.image, at: Self.place) }
    }
}
