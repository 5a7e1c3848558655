/// Where everything in a COSI file is and where it goes: metadata, tar entries and GPT, checked against each other.
package struct CosiLayout: Sendable {
    /// The name of the empty entry that starts a COSI file.
    package static let markerName = "cosi-marker"
    /// The name of the entry that describes the others.
    package static let metadataName = "metadata.json"

    /// One compressed image in the file.
    package struct GPTImage: Sendable {
        /// The entry's name in the tar.
        package let path: String
        /// Where the compressed bytes begin in the file.
        package let fileOffset: UInt64
        /// Compressed size in bytes: the size of the entry's data.
        package let compressedSizeBytes: UInt64
        /// At most ``GPT/imageBytesMax``.
        package let decodedBytes: UInt64
        /// SHA-384 of the compressed bytes.
        package let sha384: [UInt8]
    }

    /// One partition's compressed image in the file, and where its bytes go.
    package struct Image: Sendable {
        /// The GPT entry's number, from 1.
        package let number: Int
        /// The entry's name in the tar.
        package let path: String
        /// Where the compressed bytes begin in the file.
        package let fileOffset: UInt64
        /// Compressed size in bytes: the size of the entry's data.
        package let compressedSizeBytes: UInt64
        /// At most `partition.sizeBytes`.
        package let decodedBytes: UInt64
        /// SHA-384 of the compressed bytes.
        package let sha384: [UInt8]
        /// The partition that the bytes are written to.
        package let partition: GPTPartition
        /// The filesystem that the metadata describes for this image; nil for verity hash trees and raw partitions.
        package let filesystem: CosiMetadata.Filesystem?
    }

    /// In file order, which can differ from the order on the disk.
    package let images: [Image]

    /// The only `metadata.json`: a regular file of at most ``CosiMetadata/inputBytesMax`` bytes.
    package static func metadataEntry(in entries: [TarEntry]) throws(FormatError) -> TarEntry {
        let found = entries.filter { $0.isNamed(metadataName) }
        guard let entry = found.first else {
            throw FormatError(.notCosi, place: "tar archive", problem: "has no entry '\(metadataName)': this is not a COSI file")
        }
        guard found.count == 1 else { throw FormatError(.layout, place: entry.place, problem: "is there twice") }
        try checkRegular(entry)
        guard entry.sizeBytes <= UInt64(CosiMetadata.inputBytesMax) else {
            throw FormatError(
                .metadata, place: entry.place, problem: "is \(entry.sizeBytes) bytes, more than \(CosiMetadata.inputBytesMax)")
        }
        return entry
    }

    /// Finds the primary GPT's image, which is fetched, hashed and decoded before ``check(metadata:entries:gpt:)``.
    ///
    /// - Parameter entries: all entries, or in a stream only the one that the GPT's region names.
    package static func gptImage(
        metadata: CosiMetadata, entries: [TarEntry]
    ) throws(FormatError) -> GPTImage {
        var found: GPTImage?
        for entry in entries {
            guard let region = metadata.region(for: entry), region.kind == .primaryGPT else { continue }
            guard found == nil else { throw FormatError(.layout, place: entry.place, problem: "is there twice") }
            try checkEntry(entry, carries: region.image)
            found = GPTImage(
                path: region.image.path, fileOffset: entry.dataOffset,
                compressedSizeBytes: region.image.compressedSizeBytes,
                decodedBytes: region.image.uncompressedSizeBytes, sha384: region.image.sha384)
        }
        guard let found else {
            let path = metadata.disk.gptRegions.first?.image.path ?? ""
            throw FormatError(.entryMissing, place: "tar entry \(quoted(path))", problem: "is missing; metadata.json names it")
        }
        return found
    }

    /// Checks everything that can be known before the first byte is written.
    ///
    /// A file that does not begin with `cosi-marker` and `metadata.json`, or that has the primary GPT after a partition image, is
    /// accepted with a warning: random access can read it.
    ///
    /// - Parameter entries: all entries of the file, in file order.
    package static func check(
        metadata: CosiMetadata, entries: [TarEntry], gpt: GPT
    ) throws(FormatError) -> (CosiLayout, [FormatWarning]) {
        var checker = try CosiEntryChecker(metadata: metadata, gpt: gpt)
        for entry in entries { _ = try checker.check(entry) }
        return try checker.finish()
    }

    static func checkRegular(_ entry: TarEntry) throws(FormatError) {
        guard entry.isRegularFile else {
            throw FormatError(.layout, place: entry.place, problem: "is not a regular file")
        }
    }

    /// Checks that the entry can hold this image: its size is the one in the metadata.
    static func checkEntry(_ entry: TarEntry, carries image: CosiMetadata.ImageFile) throws(FormatError) {
        try checkRegular(entry)
        guard entry.sizeBytes == image.compressedSizeBytes else {
            throw FormatError(
                .layout, place: entry.place,
                problem: "is \(entry.sizeBytes) bytes, but metadata.json gives compressedSize "
                    + "\(image.compressedSizeBytes)")
        }
    }
}
