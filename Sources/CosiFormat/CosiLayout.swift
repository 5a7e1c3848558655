/// What a COSI file puts where: metadata, tar entries and GPT, checked against each other.
package struct CosiLayout: Sendable {
    /// The name of the empty file that a COSI file begins with.
    package static let markerName = "cosi-marker"
    /// The name of the entry that says what the others are.
    package static let metadataName = "metadata.json"

    /// One compressed image in the file.
    package struct GPTImage: Sendable {
        /// The entry's name in the tar.
        package let path: String
        /// Where the compressed bytes begin in the file.
        package let fileOffset: UInt64
        /// Of the entry's data.
        package let compressedSizeBytes: UInt64
        /// At most ``GPT/imageBytesMax``.
        package let decodedBytes: UInt64
        /// Of the compressed bytes.
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
        /// Of the entry's data.
        package let compressedSizeBytes: UInt64
        /// At most `partition.sizeBytes`.
        package let decodedBytes: UInt64
        /// Of the compressed bytes.
        package let sha384: [UInt8]
        /// Where the bytes go.
        package let partition: GPTPartition
        /// The filesystem the metadata describes for it; nil for verity hashes and raw partitions.
        package let filesystem: CosiMetadata.Filesystem?
    }

    /// In file order, which need not be the disk's.
    package let images: [Image]

    /// The one `metadata.json`: a regular file within ``CosiMetadata/inputBytesMax``.
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

    /// Where the primary GPT's image is, to be fetched, hashed and decoded before ``check(metadata:entries:gpt:)``.
    ///
    /// - Parameter entries: all entries, or in a stream just the one that the GPT's region names.
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
    /// Order: a file that does not begin with `cosi-marker` and `metadata.json`, or has the primary GPT behind a
    /// partition image, is accepted with a warning, since random access reads it all the same.
    ///
    /// - Parameter entries: all of the file's, in file order.
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

    /// The entry can hold this image: its size is the stated one.
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
