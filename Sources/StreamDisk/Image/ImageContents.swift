public import CosiFormat

/// All that is known of an image before any disk is looked at: read, checked, and nothing written.
public struct ImageContents: Sendable {
    /// The source's name, without credentials.
    public let name: String
    /// Of the whole file; nil when the server does not say.
    public let fileSizeBytes: UInt64?
    /// What `metadata.json` says.
    public let metadata: CosiMetadata
    /// SHA-384 of `metadata.json`, 48 bytes: what ``StreamOptions/hash`` is compared with.
    public let metadataSHA384: [UInt8]
    /// The partition table, checked.
    public let gpt: GPT
    /// The images in file order. Where `isSequential`, only what the metadata says of them (their place in the file is found
    /// on the way).
    public let images: [CosiLayout.Image]
    /// The source can only be read once from front to back.
    public let isSequential: Bool
    /// What each read of the source under way may keep in memory (`ImageHead.readBufferBytes`).
    let readBufferBytes: Int
    /// Of `metadata.json`: for what it takes of memory.
    let metadataBytes: UInt64
    /// What the image should not have, and does no harm.
    public let warnings: [FormatWarning]

    /// Where the scan of the tar stands, for a sequential source.
    let pending: PendingScan?

    /// Σ compressed and Σ decompressed bytes of the partition images, as the metadata states them.
    public var compressedBytes: UInt64 { partitionRegions.reduce(0) { $0 + $1.image.compressedSizeBytes } }
    /// Σ decompressed bytes of the partition images, as the metadata states them.
    public var decodedBytes: UInt64 { partitionRegions.reduce(0) { $0 + $1.image.uncompressedSizeBytes } }

    /// The window that decoding any of the images may need, in bytes.
    public var windowBytesMax: UInt64 { 1 << UInt64(metadata.maxWindowLog) }

    package var requirement: DiskRequirement {
        DiskRequirement(sizeBytes: metadata.disk.sizeBytes, blockBytes: metadata.disk.lbaSize)
    }

    /// The regions that carry partitions: all but the primary GPT.
    public var partitionRegions: [CosiMetadata.Region] {
        metadata.disk.gptRegions.filter { if case .partition = $0.kind { true } else { false } }
    }

    /// The partition a region goes to; nil only for the primary GPT, since every region's number was checked.
    package func partition(of region: CosiMetadata.Region) -> GPTPartition? {
        guard case .partition(let number) = region.kind else { return nil }
        return gpt.partition(number: number)
    }
}

/// A tar read as far as the first partition image's header.
struct PendingScan: Sendable {
    var scanner: TarScanner
    var checker: CosiEntryChecker
    /// The image whose header was read last.
    var first: CosiLayout.Image
}
