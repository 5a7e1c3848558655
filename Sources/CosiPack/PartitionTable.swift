import CosiFormat

/// The GPT of a disk, found and checked.
struct PartitionTable {
    /// The logical block sizes that an image's disk can have.
    static let blockSizes = [512, 4096]

    let blockBytes: Int
    /// From byte 0 to the end of the entry array.
    let bytes: [UInt8]
    let gpt: GPT
    let warnings: [String]

    /// - Parameters:
    ///   - deviceBlockBytes: a device's own; nil for a file.
    ///   - asked: what was said of it; nil: where the header is tells.
    init(_ reader: SourceReader, deviceBlockBytes: Int?, asked: Int?) throws(PackFault) {
        let path = reader.path
        if let own = deviceBlockBytes, let asked, own != asked {
            throw .disk(.blockSize, path: path, reason: "it has blocks of \(own) bytes, not of \(asked)")
        }
        let head = try reader.bytes(0, count: Int(min(reader.sizeBytes, 2 * 4096)))
        let there = Self.blockSizes.filter { Self.isThere(in: head, blockBytes: $0) }
        guard let first = there.first else { throw .disk(.noTable, path: path, reason: try Self.whatIsThere(reader, head)) }
        blockBytes = asked ?? deviceBlockBytes ?? first
        guard there.contains(blockBytes) else {
            throw .disk(.blockSize, path: path, reason: "its table counts in blocks of \(first) bytes, not of \(blockBytes)")
        }
        if asked ?? deviceBlockBytes == nil, there.count > 1 {
            throw .disk(
                .blockSize, path: path, reason: "it has a table for blocks of 512 bytes and one for 4096: say which is its own")
        }
        let diskBytes = reader.sizeBytes - reader.sizeBytes % UInt64(blockBytes)
        let header = Array(head[blockBytes..<2 * blockBytes])
        do throws(PackFault) {
            (bytes, gpt, warnings) = try Self.read(reader, header, blockBytes, diskBytes)
        } catch {
            // A table for a larger disk explains whatever else is wrong.
            guard case .image = error, let stated = GPT.statedDiskBytes(header: header, blockBytes: blockBytes),
                stated > diskBytes,
                (try? GPT.primaryBytes(header: header, blockBytes: blockBytes)) != nil
            else { throw error }
            throw .disk(
                .truncated, path: path,
                reason: "it is cut off: its table is for a disk of \(stated) bytes, and it has \(diskBytes)")
        }
    }

    private static func read(
        _ reader: SourceReader, _ header: [UInt8], _ blockBytes: Int, _ diskBytes: UInt64
    ) throws(PackFault) -> (bytes: [UInt8], gpt: GPT, warnings: [String]) {
        let count = try valid(reader.path) { () throws(FormatError) in
            try GPT.primaryBytes(header: header, blockBytes: blockBytes)
        }
        let bytes = try reader.bytes(0, count: count)
        let (gpt, found) = try valid(reader.path) { () throws(FormatError) in
            try GPT.parse(primary: bytes, blockBytes: blockBytes, diskSizeBytes: diskBytes)
        }
        var warnings = found.map { "\(reader.path): \($0)" }
        if gpt.alternateLBA == gpt.diskBlocks - 1, try !hasBackup(reader, gpt, diskBytes) {
            warnings.append(
                "\(reader.path): the backup table at its end is not the primary's; the primary is taken, and streaming writes both "
                    + "anew")
        }
        return (bytes, gpt, warnings)
    }

    /// Whether the backup is what belongs to the primary.
    private static func hasBackup(_ reader: SourceReader, _ gpt: GPT, _ diskBytes: UInt64) throws(PackFault) -> Bool {
        let placement = try valid(reader.path) { () throws(FormatError) in try gpt.placement(onDeviceOf: diskBytes) }
        return try reader.bytes(placement.backupOffsetBytes, count: placement.backup.count) == placement.backup
    }

    /// Whether a header is where it is on a disk of such blocks.
    static func isThere(in head: [UInt8], blockBytes: Int) -> Bool {
        head.count >= 2 * blockBytes && head[blockBytes...].starts(with: "EFI PART".utf8)
    }

    private static func whatIsThere(_ reader: SourceReader, _ head: [UInt8]) throws(PackFault) -> String {
        let types = (0..<4).map { 446 + 16 * $0 + 4 }
        if head.count >= 512, head[510] == 0x55, head[511] == 0xAA {
            if types.contains(where: { head[$0] == 0xEE }) {
                return
                    "its GPT is gone: LBA 0 says that there is one, and LBA 1 has none; sgdisk or gdisk may restore it from the backup"
            }
            if types.contains(where: { head[$0] != 0 }) {
                return
                    "it has an MBR partition table; sgdisk --mbrtogpt makes a GPT of it (on a copy: the boot loader may have to follow)"
            }
        }
        let long = try reader.bytes(0, count: Int(min(reader.sizeBytes, 128 << 10)))
        return ForeignFormat(head: long).map { "it is \($0.name)" } ?? "it has no partition table"
    }
}

/// Runs a check of the format; an error names the source.
func valid<Value>(_ path: String, _ check: () throws(FormatError) -> Value) throws(PackFault) -> Value {
    do throws(FormatError) { return try check() } catch { throw .invalid(error, path) }
}
