import CosiFormat

extension StreamPlan {
    /// The fields of the `plan` event.
    package var fields: [String: JSONValue] {
        let fields: [String: JSONValue] = [
            "image": .text(imageName), "hash": .text(hashText), "hashCompared": .flag(isHashCompared),
            "diskSizeBytes": .count(imageDiskBytes), "imageBytes": .count(decodedBytes),
            "compressedBytes": .count(compressedBytes), "disk": diskJSON,
            "target": regions.count > 1 ? .null : .object(targetFields),
            "engine": .text(engineName), "select": .list(hints.map { .text($0.text) }),
            "candidates": .list(consideredDisks.map(candidate)),
            "partitions": .list(partitions.map(\.json)),
        ]
        return regions.isEmpty ? fields : fields.adding(["regions": .list(regions.map(\.json))])
    }

    /// The disk's path; null with several regions, which have targets of their own.
    package var diskJSON: JSONValue { regions.count > 1 ? .null : .text(diskPath) }

    /// The disk that is written, with the same keys as in the list of disks.
    private var targetFields: [String: JSONValue] {
        let file: [String: JSONValue] = [
            "path": .text(resolvedDiskPath), "sizeBytes": .count(diskBytes), "blockBytes": .count(UInt64(blockBytes)),
        ]
        return (diskInfo?.fields ?? file).adding(["contents": contents?.json ?? .null])
    }

    private func candidate(_ disk: ConsideredDisk) -> JSONValue {
        let reasons = reasons(against: disk).map { JSONValue.object(["code": .text($0.code), "message": .text($0.message)]) }
        return .object(["path": .text(disk.disk.path), "chosen": .flag(isChosen(disk)), "reasons": .list(reasons)])
    }

    package func isChosen(_ disk: ConsideredDisk) -> Bool { disk.disk.number == diskInfo?.number }

    /// Why a disk was not selected, as codes and messages. Empty for the selected disk.
    package func reasons(against disk: ConsideredDisk) -> [(code: String, message: String)] {
        if isChosen(disk) { return [] }
        return disk.reasons.isEmpty
            ? [("notSmallest", "fits, but another is smaller, or equal and before it")]
            : disk.reasons.map { ($0.code, $0.description) }
    }
}

extension StreamPlan.Region {
    /// The partition and its target, which has the keys of a disk.
    package var json: JSONValue {
        let file: [String: JSONValue] = [
            "path": .text(target.resolvedPath), "sizeBytes": .count(target.sizeBytes),
            "blockBytes": .count(UInt64(target.blockBytes)),
        ]
        let fields = (target.info?.fields ?? file).adding(["contents": target.contents?.json ?? .null])
        return .object([
            "partition": .object(["number": .count(UInt64(max(partition.number, 0))), "name": .text(partition.name)]),
            "disk": .text(target.path), "target": .object(fields),
        ])
    }
}

extension StreamPlan.Partition {
    fileprivate var json: JSONValue {
        .object([
            "number": .count(UInt64(number)), "name": .text(name), "offsetBytes": .count(offsetBytes),
            "sizeBytes": .count(sizeBytes), "imagePath": .optional(imagePath),
            "imageBytes": imagePath == nil ? .null : .count(decodedBytes),
            "compressedBytes": imagePath == nil ? .null : .count(compressedBytes), "fsType": .optional(fsType),
            "mountPoint": .optional(mountPoint),
        ])
    }
}
