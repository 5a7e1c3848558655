import CosiFormat
import StreamDisk

/// Puts the image file together, front to back; what is known last has its place reserved (``PackPlan``).
struct ImageFileWriter: ~Copyable {
    private let plan: PackPlan
    private let file: OutputFile
    private let hasher: ImageHasher
    private let table: CosiMetadata.ImageFile

    /// Where the next byte goes.
    private(set) var offset: UInt64
    private(set) var frameCount = 0
    private(set) var maxWindowLog = PackOptions.windowLogRange.lowerBound

    // Of the image under way.
    private var imageOffset: UInt64 = 0
    private var frames: [ContentIndex.Frame] = []
    private var contentBytes: UInt64 = 0
    /// Of those that are complete: where they are, and their indices.
    private var made: [(compressedBytes: UInt64, index: CosiMetadata.ContentIndexPlace)] = []

    private static let metadataOffset = UInt64(TarHeader.blockBytes)
    /// RFC 8878 has sixteen magic numbers for skippable frames, 0x184D2A50 to 5F.
    private static let indexMagic: UInt8 = 0x5C
    private static let fillerMagic: UInt8 = 0x5F

    /// Writes what stands before the first partition's image.
    init(_ plan: PackPlan, _ file: OutputFile, _ hasher: ImageHasher, table: CompressedBytes) throws(PackError) {
        self.plan = plan
        self.file = file
        self.hasher = hasher
        let metadataEnd = Self.metadataOffset + UInt64(TarHeader.blockBytes + plan.metadataBytes)
        let tableOffset = metadataEnd + UInt64(TarHeader.paddingBytes(after: UInt64(plan.metadataBytes)))
        let entry =
            TarHeader.block(name: plan.input.tablePath, sizeBytes: UInt64(table.bytes.count)) + table.bytes
            + Self.padding(UInt64(table.bytes.count))
        try file.write(TarHeader.block(name: CosiLayout.markerName, sizeBytes: 0), at: 0)
        try file.write(entry, at: tableOffset)
        self.table = CosiMetadata.ImageFile(
            path: plan.input.tablePath, compressedSizeBytes: UInt64(table.bytes.count),
            uncompressedSizeBytes: UInt64(plan.input.table.count), sha384: MessageDigest.digest(of: table.bytes, .sha384))
        maxWindowLog = max(maxWindowLog, table.windowLog)
        offset = tableOffset + UInt64(entry.count)
        beginImage()
    }

    private static func padding(_ sizeBytes: UInt64) -> [UInt8] {
        [UInt8](repeating: 0, count: TarHeader.paddingBytes(after: sizeBytes))
    }

    /// The next image's header and index get their room.
    private mutating func beginImage() {
        guard made.count < plan.images.count else { return }
        imageOffset = offset + UInt64(TarHeader.blockBytes)
        offset = imageOffset + UInt64(plan.images[made.count].reservedBytes)
        frames = []
        contentBytes = 0
    }

    /// The next frame of the image under way; or the first one of the next image, when that one is complete.
    mutating func append(_ slot: FrameSlot) throws(PackError) {
        precondition(slot.image == made.count, "a frame of another image")
        try slot.output.withBytes(0, count: slot.compressedBytes) { bytes throws(PackError) in
            try file.write(bytes, at: offset)
        }
        frames.append(
            ContentIndex.Frame(
                compressedOffset: offset - imageOffset, compressedBytes: UInt32(slot.compressedBytes),
                contentOffset: contentBytes,
                contentBytes: UInt32(slot.contentBytes), isZero: slot.isZero, sha256: slot.sha256))
        offset += UInt64(slot.compressedBytes)
        contentBytes += UInt64(slot.contentBytes)
        frameCount += 1
        maxWindowLog = max(maxWindowLog, slot.windowLog)
        let size = plan.images[made.count].partition.content.sizeBytes
        precondition(contentBytes <= size, "more frames than there is content")
        if contentBytes == size { try endImage() }
    }

    /// Fills in what was reserved.
    private mutating func endImage() throws(PackError) {
        let image = plan.images[made.count]
        let size = offset - imageOffset
        let index = ContentIndex(meanFrameBytes: plan.cutter.meanBytes, frames: frames).encoded()
        let fillerBytes = image.reservedBytes - 2 * PackPlan.skippableHeaderBytes - index.count
        precondition(fillerBytes >= 0, "more frames than were reckoned with")
        try file.write(
            TarHeader.block(name: image.partition.imagePath, sizeBytes: size), at: imageOffset - UInt64(TarHeader.blockBytes))
        // The filler's bytes are a hole of the file.
        try file.write(
            Self.skippableHeader(Self.indexMagic, index.count) + index + Self.skippableHeader(Self.fillerMagic, fillerBytes),
            at: imageOffset)
        try file.write(Self.padding(size), at: offset)
        hasher.add(imageOffset..<offset)
        made.append(
            (
                size,
                CosiMetadata.ContentIndexPlace(
                    offset: UInt64(PackPlan.skippableHeaderBytes), sizeBytes: UInt64(index.count),
                    sha384: MessageDigest.digest(of: index, .sha384))
            ))
        offset += UInt64(TarHeader.paddingBytes(after: size))
        beginImage()
    }

    /// RFC 8878, section 3.1.2. A plan's indices are far below 4 GiB.
    private static func skippableHeader(_ magic: UInt8, _ contentBytes: Int) -> [UInt8] {
        [magic, 0x2A, 0x4D, 0x18] + (0..<4).map { UInt8(truncatingIfNeeded: contentBytes >> (8 * $0)) }
    }

    /// All images are there: ends the archive.
    mutating func endArchive() throws(PackError) {
        precondition(made.count == plan.images.count, "an image is incomplete")
        try file.write(TarHeader.endMarker, at: offset)
        offset += UInt64(TarHeader.endMarker.count)
    }

    /// The metadata, last; returns it and its SHA-384.
    ///
    /// - Parameter hashes: of the images, in order.
    func writeMetadata(hashes: [[UInt8]]) throws(PackError) -> (CosiMetadata, sha384: [UInt8]) {
        let packed = zip(plan.images, zip(made, hashes)).map { image, made in
            PackPlan.PackedImage(
                file: CosiMetadata.ImageFile(
                    path: image.partition.imagePath, compressedSizeBytes: made.0.compressedBytes,
                    uncompressedSizeBytes: image.partition.content.sizeBytes, sha384: made.1),
                index: made.0.index)
        }
        var text = Array(plan.metadata(table: table, images: packed, maxWindowLog: maxWindowLog).json.utf8)
        precondition(text.count <= plan.metadataBytes, "more metadata than was reckoned with")
        // Blanks before the last newline: white space, which JSON allows there.
        text.insert(contentsOf: repeatElement(UInt8(ascii: " "), count: plan.metadataBytes - text.count), at: text.count - 1)
        let header = TarHeader.block(name: CosiLayout.metadataName, sizeBytes: UInt64(text.count))
        try file.write(header + text + Self.padding(UInt64(text.count)), at: Self.metadataOffset)
        do throws(FormatError) {
            return (try CosiMetadata.parse(text).0, MessageDigest.digest(of: text, .sha384))
        } catch {
            throw .invalid(error)
        }
    }
}
