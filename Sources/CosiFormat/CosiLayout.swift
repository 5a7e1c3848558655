/// What a COSI file puts where: metadata, tar entries and GPT, checked against each other.
public struct CosiLayout: Sendable {
    /// The name of the empty file that a COSI file begins with.
    public static let markerName = "cosi-marker"
    /// The name of the entry that says what the others are.
    public static let metadataName = "metadata.json"

    /// One compressed image in the file.
    public struct GPTImage: Sendable {
        public let path: String
        /// Where the compressed bytes begin in the file.
        public let fileOffset: UInt64
        public let compressedSizeBytes: UInt64
        /// At most ``GPT/imageBytesMax``.
        public let uncompressedSizeBytes: UInt64
        /// Of the compressed bytes.
        public let sha384: [UInt8]
    }

    /// One partition's compressed image in the file, and where its bytes go.
    public struct Image: Sendable {
        /// The GPT entry's number, from 1.
        public let number: Int
        public let path: String
        /// Where the compressed bytes begin in the file.
        public let fileOffset: UInt64
        public let compressedSizeBytes: UInt64
        /// At most `partition.sizeBytes`.
        public let uncompressedSizeBytes: UInt64
        /// Of the compressed bytes.
        public let sha384: [UInt8]
        public let partition: GPTPartition
        /// The filesystem the metadata describes for it; nil for verity hashes and raw partitions.
        public let filesystem: CosiMetadata.Filesystem?
        /// The filesystem whose dm-verity hash tree this is; nil where that lies in the filesystem's own image.
        public let verityHashOf: CosiMetadata.Filesystem?

        /// Smaller than its partition: the producer shrank the filesystem.
        public var isShrunk: Bool { uncompressedSizeBytes < partition.sizeBytes }
    }

    /// In file order, which need not be the disk's.
    public let images: [Image]
    /// Σ compressed bytes of ``images``; cannot overflow.
    public let compressedSizeBytes: UInt64
    /// Σ decompressed bytes of ``images``; cannot overflow.
    public let uncompressedSizeBytes: UInt64
    /// Whether the file can be read once from front to back: `metadata.json`, then the primary GPT, then the images.
    public let isInStreamingOrder: Bool

    /// The one `metadata.json`: a regular file within ``CosiMetadata/inputBytesMax``.
    public static func metadataEntry(in entries: [TarEntry]) throws(FormatError) -> TarEntry {
        let found = entries.filter { $0.isNamed(metadataName) }
        guard let entry = found.first else {
            throw FormatError(place: "tar archive", problem: "has no entry '\(metadataName)': this is not a COSI file")
        }
        guard found.count == 1 else { throw FormatError(place: entry.place, problem: "is there twice") }
        try checkRegular(entry)
        guard entry.sizeBytes <= UInt64(CosiMetadata.inputBytesMax) else {
            throw FormatError(
                place: entry.place, problem: "is \(entry.sizeBytes) bytes, more than \(CosiMetadata.inputBytesMax)")
        }
        return entry
    }

    /// Where the primary GPT's image is, to be fetched, hashed and decoded before ``check(metadata:entries:gpt:)``.
    ///
    /// - Parameter entries: all entries, or in a stream just the one that the GPT's region names.
    public static func gptImage(
        metadata: CosiMetadata, entries: [TarEntry]
    ) throws(FormatError) -> GPTImage {
        var found: GPTImage?
        for entry in entries {
            guard let region = metadata.region(for: entry), region.kind == .primaryGPT else { continue }
            guard found == nil else { throw FormatError(place: entry.place, problem: "is there twice") }
            try checkEntry(entry, carries: region.image)
            found = GPTImage(
                path: region.image.path, fileOffset: entry.dataOffset,
                compressedSizeBytes: region.image.compressedSizeBytes,
                uncompressedSizeBytes: region.image.uncompressedSizeBytes, sha384: region.image.sha384)
        }
        guard let found else {
            let path = metadata.disk.gptRegions.first?.image.path ?? ""
            throw FormatError(place: "tar entry \(quoted(path))", problem: "is missing; metadata.json names it")
        }
        return found
    }

    /// Checks everything that can be known before the first byte is written.
    ///
    /// Order: a file that does not begin with `cosi-marker` and `metadata.json`, or has the primary GPT behind a
    /// partition image, is accepted with a warning, since random access reads it all the same;
    /// ``isInStreamingOrder`` says whether a single pass would do.
    ///
    /// - Parameter entries: all of the file's, in file order.
    public static func check(
        metadata: CosiMetadata, entries: [TarEntry], gpt: GPT
    ) throws(FormatError) -> (CosiLayout, [FormatWarning]) {
        var checker = try CosiEntryChecker(metadata: metadata, gpt: gpt)
        for entry in entries { _ = try checker.check(entry) }
        return try checker.finish()
    }

    static func checkRegular(_ entry: TarEntry) throws(FormatError) {
        guard entry.isRegularFile else {
            throw FormatError(place: entry.place, problem: "is not a regular file")
        }
    }

    /// The entry can hold this image: its size is the stated one.
    static func checkEntry(_ entry: TarEntry, carries image: CosiMetadata.ImageFile) throws(FormatError) {
        try checkRegular(entry)
        guard entry.sizeBytes == image.compressedSizeBytes else {
            throw FormatError(
                place: entry.place,
                problem: "is \(entry.sizeBytes) bytes, but metadata.json gives compressedSize "
                    + "\(image.compressedSizeBytes)")
        }
    }
}
