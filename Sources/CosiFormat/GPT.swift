/// A used entry of a GPT's entry array.
public struct GPTPartition: Sendable, Equatable {
    /// The entry's position in the array, from 1.
    public let number: Int
    /// The partition type GUID.
    public let typeGUID: GUID
    /// The partition's unique GUID.
    public let uniqueGUID: GUID
    /// Its first block.
    package let firstLBA: UInt64
    /// The last block of the partition, inclusive.
    package let lastLBA: UInt64
    /// The attribute bits, unchanged (UEFI 2.10, table 5-7).
    package let attributes: UInt64
    /// Decoded from UTF-16 up to the first NUL; unpaired surrogates are replaced.
    public let name: String
    /// Where it begins on the disk, in bytes.
    public let offsetBytes: UInt64
    /// Size in bytes, a whole number of blocks.
    public let sizeBytes: UInt64

    var place: String { "GPT entry \(number)" }
}

/// A checked primary GPT with its protective MBR (UEFI 2.10 §5.2.3, §5.3).
public struct GPT: Sendable {
    /// The maximum number of entries; the usual number is 128.
    package static let entryCountMax = 1024
    /// The maximum size of an entry in bytes; the usual size is 128.
    package static let entrySizeBytesMax = 4096
    /// A primary-GPT image larger than this is refused before it is fetched. The largest entry array takes 4 MiB; the rest is
    /// for what precedes it, such as a boot loader on boards whose firmware reads fixed blocks.
    package static let imageBytesMax = 8 << 20

    /// The logical block size in bytes: 512 or 4096.
    public let blockBytes: Int
    /// The size of the disk that the image was taken from, in blocks.
    package let diskBlocks: UInt64
    /// The disk GUID.
    public let diskGUID: GUID
    /// No partition begins before this block.
    package let firstUsableLBA: UInt64
    /// No partition ends after this block.
    package let lastUsableLBA: UInt64
    /// Where the primary header says the backup is; not used for writing, see ``placement(onDeviceOf:)``.
    package let alternateLBA: UInt64
    /// The first block of the entry array.
    package let entryArrayLBA: UInt64
    /// The number of entries, used and unused.
    package let entryCount: Int
    /// Entry size in bytes: 128 times a power of two.
    package let entrySizeBytes: Int
    /// The used entries, in order of number.
    public let partitions: [GPTPartition]

    let headerSizeBytes: Int
    /// The bytes of the whole primary region, as in the image.
    let region: [UInt8]

    /// Returns the used entry with this number.
    package func partition(number: Int) -> GPTPartition? {
        partitions.first { $0.number == number }
    }

    /// Checks a primary region: both CRCs, every field that locates something, and all partitions.
    ///
    /// An alternate LBA other than the disk's last block is a warning, not an error: images whose disk was grown or shrunk after
    /// partitioning have one. Nothing is read from there, and the table that is written gets the correct value.
    ///
    /// - Parameter bytes: from byte 0 of the disk to at least the end of the entry array, at most up to the first
    ///   usable block; it may end inside a block.
    /// - Parameter blockBytes: 512 or 4096.
    /// - Parameter diskSizeBytes: the size of the disk that the image was taken from.
    public static func parse(
        primary bytes: [UInt8], blockBytes: Int, diskSizeBytes: UInt64
    ) throws(FormatError) -> (GPT, [FormatWarning]) {
        var warnings: [FormatWarning] = []
        guard blockBytes == 512 || blockBytes == 4096 else {
            throw FormatError(.gpt, place: "GPT", problem: "has a block size of \(blockBytes) bytes, must be 512 or 4096")
        }
        guard bytes.count >= 2 * blockBytes, bytes.count <= imageBytesMax else {
            throw FormatError(
                .gpt, place: "primary-GPT image",
                problem: "is \(bytes.count) bytes, must be at least two blocks of \(blockBytes) and at most "
                    + "\(imageBytesMax)")
        }
        try checkProtectiveMBR(bytes, &warnings)
        let header = try GPTHeader(bytes, blockBytes: blockBytes, diskBlocks: diskSizeBytes / UInt64(blockBytes), &warnings)
        let partitions = try readPartitions(bytes, header, blockBytes: blockBytes)
        try checkOverlaps(partitions)
        warnIfNotUnique(partitions, &warnings)
        let gpt = GPT(
            blockBytes: blockBytes, diskBlocks: header.diskBlocks, diskGUID: header.diskGUID,
            firstUsableLBA: header.firstUsableLBA, lastUsableLBA: header.lastUsableLBA,
            alternateLBA: header.alternateLBA, entryArrayLBA: header.entryArrayLBA, entryCount: header.entryCount,
            entrySizeBytes: header.entrySizeBytes, partitions: partitions, headerSizeBytes: header.sizeBytes,
            region: bytes)
        return (gpt, warnings)
    }

    /// UEFI 2.10 §5.2.3: without an 0xEE record, firmware and kernels treat the disk as an MBR disk.
    private static func checkProtectiveMBR(
        _ bytes: [UInt8], _ warnings: inout [FormatWarning]
    ) throws(FormatError) {
        guard bytes[510] == 0x55, bytes[511] == 0xAA else {
            throw FormatError(.gpt, place: "protective MBR", problem: "has no signature 0x55 0xAA at byte 510")
        }
        let protective = (0..<4).map { 446 + 16 * $0 }.filter { bytes[$0 + 4] == 0xEE }
        guard !protective.isEmpty else {
            throw FormatError(.gpt, place: "protective MBR", problem: "has no partition of type 0xEE")
        }
        if !protective.contains(where: { bytes.littleEndian32(at: $0 + 8) == 1 }) {
            warnings.append(
                FormatWarning(
                    place: "protective MBR",
                    message: "has a partition of type 0xEE that does not begin at block 1: Linux will not read "
                        + "this GPT"))
        }
    }

    private static func readPartitions(
        _ bytes: [UInt8], _ header: GPTHeader, blockBytes: Int
    ) throws(FormatError) -> [GPTPartition] {
        var partitions: [GPTPartition] = []
        for index in 0..<header.entryCount {
            let at = header.arrayRange.lowerBound + index * header.entrySizeBytes
            let typeGUID = GUID(onDisk: bytes, at: at)
            guard typeGUID != .zero else { continue }
            let place = "GPT entry \(index + 1)"
            let first = bytes.littleEndian64(at: at + 32)
            let last = bytes.littleEndian64(at: at + 40)
            guard first <= last else {
                throw FormatError(.gpt, place: place, problem: "ends at block \(last), before its first block \(first)")
            }
            guard first >= header.firstUsableLBA, last <= header.lastUsableLBA else {
                throw FormatError(
                    .gpt, place: place,
                    problem: "covers blocks \(first) to \(last), outside the usable blocks "
                        + "\(header.firstUsableLBA) to \(header.lastUsableLBA)")
            }
            let units = (0..<36).map { UInt16(bytes[at + 56 + 2 * $0]) | UInt16(bytes[at + 57 + 2 * $0]) << 8 }
            partitions.append(
                GPTPartition(
                    number: index + 1, typeGUID: typeGUID, uniqueGUID: GUID(onDisk: bytes, at: at + 16),
                    firstLBA: first, lastLBA: last, attributes: bytes.littleEndian64(at: at + 48),
                    name: String(decoding: units.prefix { $0 != 0 }, as: UTF16.self),
                    // Cannot overflow: blocks up to lastUsableLBA lie inside the disk, whose size fits in 64 bits.
                    offsetBytes: first * UInt64(blockBytes), sizeBytes: (last - first + 1) * UInt64(blockBytes)))
        }
        return partitions
    }

    private static func checkOverlaps(_ partitions: [GPTPartition]) throws(FormatError) {
        let sorted = partitions.sorted { $0.firstLBA < $1.firstLBA }
        for (one, next) in zip(sorted, sorted.dropFirst()) where next.firstLBA <= one.lastLBA {
            throw FormatError(
                .gpt, place: next.place,
                problem: "begins at block \(next.firstLBA), inside entry \(one.number), which ends at \(one.lastLBA)")
        }
    }

    /// UEFI requires unique GUIDs, and `/dev/disk/by-partuuid` shows only one of two equal ones. It is a warning, because no
    /// write depends on it.
    private static func warnIfNotUnique(_ partitions: [GPTPartition], _ warnings: inout [FormatWarning]) {
        var seen: [GUID: Int] = [:]
        for partition in partitions {
            if let other = seen.updateValue(partition.number, forKey: partition.uniqueGUID) {
                warnings.append(
                    FormatWarning(
                        place: partition.place,
                        message: "has the same unique GUID as entry \(other): \(partition.uniqueGUID)"))
            }
        }
    }
}
