/// Recognizes a file that is not a COSI image by its bytes, and says what to do about it.
///
/// Knows the formats most often passed by mistake. Used only for files that do not begin with a tar header.
package struct ForeignFormat: Sendable, Equatable {
    /// Such as `a qcow2 disk image`.
    package let name: String
    /// Such as `convert it to COSI first`.
    package let advice: String

    /// Returns nil for an unknown format.
    ///
    /// - Parameter head: the file's first bytes; 128 KiB are enough to recognize every known format.
    /// - Parameter tail: the file's last 512 bytes, if they can be read: a fixed VHD is a raw disk with a footer.
    package init?(head: [UInt8], tail: [UInt8] = []) {
        func has(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
            offset + bytes.count <= head.count && head[offset..<offset + bytes.count].elementsEqual(bytes)
        }
        if let known = Self.magics.first(where: { has($0.bytes, at: $0.offset) }) {
            (name, advice) = (known.name, known.advice)
        } else if let text = Self.text(head) {
            self = text
        } else if tail.starts(with: "conectix".utf8) {
            (name, advice) = ("a VHD disk image", Self.convert)
        } else if has(Array("EFI PART".utf8), at: 512) || has(Array("EFI PART".utf8), at: 4096) {
            (name, advice) = ("a raw image of a GPT disk", Self.convert)
        } else if has([0x53, 0xEF], at: 1080) {
            (name, advice) = ("a raw image of an ext file system", Self.convert)
        } else if has([0x55, 0xAA], at: 510) {
            (name, advice) = ("a raw image of a disk or a file system, with a boot sector", Self.convert)
        } else {
            return nil
        }
    }

    private init(_ name: String, _ advice: String) { (self.name, self.advice) = (name, advice) }

    private static let convert = "convert it to COSI first"
    private static let checkURL = "check the URL, and what the server has there"

    /// From the formats' own specifications; file(1) has the same. ISO first: an ISO image may also begin like a disk.
    private static let magics: [(offset: Int, bytes: [UInt8], name: String, advice: String)] =
        [
            (0, "QFI\u{FB}", "a qcow2 disk image", convert),
            (0, "conectix", "a VHD disk image", convert),
            (0, "vhdxfile", "a VHDX disk image", convert),
            (0, "KDMV", "a VMDK disk image", convert),
            (0, "COWD", "a VMDK disk image", convert),
            (0, "# Disk DescriptorFile", "the descriptor of a VMDK disk image", convert),
            (0, "<<< ", "a VirtualBox disk image (VDI)", convert),
            (32769, "CD001", "an ISO 9660 image", "give a COSI image: an installer's ISO cannot be streamed"),
            (0, "\u{1F}\u{8B}", "compressed with gzip", "decompress it first (gunzip)"),
            (0, "\u{28}\u{B5}\u{2F}\u{FD}", "compressed with zstd", "decompress it first (unzstd)"),
            (0, "\u{FD}7zXZ\u{0}", "compressed with xz", "decompress it first (unxz)"),
            (0, "BZh", "compressed with bzip2", "decompress it first (bunzip2)"),
            (0, "\u{04}\u{22}\u{4D}\u{18}", "compressed with lz4", "decompress it first (unlz4)"),
            (0, "PK\u{03}\u{04}", "a zip archive", "unpack it first (unzip)"),
            (0, "PK\u{05}\u{06}", "an empty zip archive", "check how it was made"),
            (0, "7z\u{BC}\u{AF}\u{27}\u{1C}", "a 7z archive", "unpack it first"),
            (0, "MSWIM\u{0}\u{0}\u{0}", "a WIM image", convert),
            (0, "hsqs", "a squashfs file system", convert),
            (0, "XFSB", "a raw image of an XFS file system", convert),
            (0x1_0040, "_BHRfS_M", "a raw image of a btrfs file system", convert),
            (0, "version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch it (git lfs pull)"),
        ].map { ($0.0, $0.1.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }, $0.2, $0.3) }
        // A skippable zstd frame: partition images of COSI files begin with one.
        + (UInt8(0x50)...0x5F).map {
            (0, [$0, 0x2A, 0x4D, 0x18], "compressed with zstd", "decompress it first (unzstd)")
        }

    /// A page or an error message that a server sent in place of a file.
    private static func text(_ head: [UInt8]) -> ForeignFormat? {
        var start = head.prefix(1024)
        if start.starts(with: [0xEF, 0xBB, 0xBF]) { start = start.dropFirst(3) }
        start = start.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        let lower = start.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        func begins(_ text: String) -> Bool { lower.starts(with: text.utf8) }
        if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body") {
            return ForeignFormat("a web page (HTML)", checkURL)
        }
        if begins("<?xml") || begins("<!doctype") || begins("<error") {
            return ForeignFormat("an XML document, such as servers send for an error", checkURL)
        }
        guard let first = lower.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else { return nil }
        let next = lower.dropFirst().first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard let next, Array("\"}]{[".utf8).contains(next) else { return nil }
        return ForeignFormat("JSON text", "give the image itself; if a server sent this, " + checkURL)
    }
}
