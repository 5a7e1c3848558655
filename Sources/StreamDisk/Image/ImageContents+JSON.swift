import CosiFormat

extension ImageContents {
    /// `sha384:` and the hexadecimal SHA-384 of the metadata.
    public var hashText: String { "sha384:" + metadataSHA384.hexadecimal }

    /// The output of `inspect` for programs (docs/EVENTS.md).
    public var json: JSONValue {
        .object([
            "image": .text(name), "version": .text(metadata.version.description),
            "arch": .text(metadata.osArch.description), "os": .text(osName), "id": .optional(metadata.id),
            "hash": .text(hashText), "diskSizeBytes": .count(metadata.disk.sizeBytes),
            "blockBytes": .count(UInt64(metadata.disk.lbaSize)), "diskGUID": .text(gpt.diskGUID.description),
            "windowBytes": .count(windowBytesMax), "compressedBytes": .count(compressedBytes),
            "imageBytes": .count(decodedBytes), "bootloader": .text(metadata.bootloader.type),
            "packageCount": metadata.osPackages.map { .count(UInt64($0.count)) } ?? .null,
            "warnings": .list(warnings.map { .text($0.description) }), "partitions": .list(rows.map(\.json)),
        ])
    }

    /// PRETTY_NAME of the image's os-release(5), or else NAME.
    package var osName: String { StreamDisk.osName(release: metadata.osRelease) }
}

/// PRETTY_NAME of an os-release(5), or else NAME.
package func osName(release: String) -> String {
    for key in ["PRETTY_NAME=", "NAME="] {
        for line in release.split(whereSeparator: \.isNewline) where line.hasPrefix(key) {
            let value = line.dropFirst(key.count)
            let quotes: Set<Character> = ["\"", "'"]
            guard let first = value.first, quotes.contains(first), value.count >= 2, value.last == first else {
                return String(value)
            }
            return String(value.dropFirst().dropLast())
        }
    }
    return "not named"
}

extension ImageContents.Row {
    fileprivate var json: JSONValue {
        let image = region?.image
        return .object([
            "number": .count(UInt64(partition.number)), "name": .text(partition.name),
            "typeGUID": .text(partition.typeGUID.description), "uniqueGUID": .text(partition.uniqueGUID.description),
            "firstLBA": .count(partition.firstLBA), "lastLBA": .count(partition.lastLBA),
            "offsetBytes": .count(partition.offsetBytes), "sizeBytes": .count(partition.sizeBytes),
            "imagePath": .optional(image?.path), "compressedBytes": image.map { .count($0.compressedSizeBytes) } ?? .null,
            "imageBytes": image.map { .count($0.uncompressedSizeBytes) } ?? .null,
            "fsType": .optional(filesystem?.fsType), "fsUUID": .optional(filesystem?.fsUUID),
            "mountPoint": .optional(filesystem?.mountPoint), "verity": verity, "contentIndex": contentIndex,
        ])
    }

    private var contentIndex: JSONValue {
        guard let index = region?.contentIndex else { return .null }
        return .object([
            "offsetBytes": .count(index.offset), "sizeBytes": .count(index.sizeBytes),
            "frameCount": .count(UInt64(index.frameCount)),
            "sha384": .text(index.sha384.hexadecimal),
        ])
    }

    private var verity: JSONValue {
        guard let verity = filesystem?.verity else { return .null }
        return .object([
            "rootHash": .text(verity.rootHash), "imagePath": .text(verity.image.path), "inline": .flag(verity.isInline),
            "partitionNumber": hashPartition.map { .count(UInt64($0.number)) } ?? .null,
            "hashOffsetBytes": verity.hashOffset.map { .count($0) } ?? .null,
        ])
    }
}
