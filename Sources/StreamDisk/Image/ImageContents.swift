public import CosiFormat

/// An image that was read and checked, as far as possible without a disk.
public struct ImageContents: Sendable {
    /// The source's name, without credentials.
    package let name: String
    /// Size of the whole file in bytes; nil if the server does not state it.
    package let fileSizeBytes: UInt64?
    /// The contents of `metadata.json`.
    public let metadata: CosiMetadata
    /// SHA-384 of `metadata.json`, 48 bytes. ``StreamOptions/hash`` is compared with it.
    package let metadataSHA384: [UInt8]
    /// The checked partition table.
    package let gpt: GPT
    /// The images in file order. If `isSequential`, only what the metadata says about them: their offsets become known during
    /// the pass.
    package let images: [CosiLayout.Image]
    /// Whether the source can only be read once, from start to end.
    package let isSequential: Bool
    /// The memory that each read of the source may use (`ImageHead.readBufferBytes`).
    let readBufferBytes: Int
    /// Size of `metadata.json`, from which its memory is computed.
    let metadataBytes: UInt64
    /// Harmless deviations from the format.
    package let warnings: [FormatWarning]

    /// The state of the tar scan, for a sequential source.
    let pending: PendingScan?

    /// Total compressed size of the partition images in bytes, as the metadata states it.
    package var compressedBytes: UInt64 { partitionRegions.reduce(0) { $0 + $1.image.compressedSizeBytes } }
    /// Total decoded size of the partition images in bytes, as the metadata states it.
    package var decodedBytes: UInt64 { partitionRegions.reduce(0) { $0 + $1.image.uncompressedSizeBytes } }

    /// The largest window that decoding any of the images may need, in bytes.
    package var windowBytesMax: UInt64 { 1 << UInt64(metadata.maxWindowLog) }

    package var requirement: DiskRequirement {
        DiskRequirement(sizeBytes: metadata.disk.sizeBytes, blockBytes: metadata.disk.lbaSize)
    }

    /// The regions that belong to partitions: all except the primary GPT.
    package var partitionRegions: [CosiMetadata.Region] {
        metadata.disk.gptRegions.filter { if case .partition = $0.kind { true } else { false } }
    }

    /// The partition of a region; nil only for the primary GPT, since every region's number was checked.
    package func partition(of region: CosiMetadata.Region) -> GPTPartition? {
        guard case .partition(let number) = region.kind else { return nil }
        return gpt.partition(number: number)
    }
}

/// A tar that was read up to the header of the first partition image.
struct PendingScan: Sendable {
    var scanner: TarScanner
    var checker: CosiEntryChecker
    /// The image whose header was read last.
    var first: CosiLayout.Image
}
