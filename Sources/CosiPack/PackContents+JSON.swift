package import StreamDisk

// The fields that programs read (docs/EVENTS.md).

extension PackContents {
    /// Of the event `plan`, and of an inspection of a disk.
    package var fields: [String: JSONValue] {
        [
            "source": .text(source), "format": .optional(virtualFormat), "diskSizeBytes": .count(diskBytes),
            "blockBytes": .count(UInt64(blockBytes)), "diskGUID": .text("\(diskGUID)"), "imageBytes": .count(imageBytes),
            "dataBytes": .count(dataBytes), "arch": .text(system.osArch.rawValue), "os": .text(osName),
            "bootloader": .text(system.bootloader.type), "packageCount": .count(UInt64(system.osPackages.count)),
            "partitions": .list(partitions.map { .object($0.fields) }),
        ]
    }
}

extension PackContents.Partition {
    fileprivate var fields: [String: JSONValue] {
        [
            "number": .count(UInt64(entry.number)), "name": .text(entry.name), "offsetBytes": .count(entry.offsetBytes),
            "sizeBytes": .count(entry.sizeBytes), "typeGUID": .text("\(entry.typeGUID)"),
            "uniqueGUID": .text("\(entry.uniqueGUID)"), "imageBytes": content.map { .count($0.sizeBytes) } ?? .null,
            "dataBytes": dataBytes.map { .count($0) } ?? .null, "fsType": .optional(filesystem?.fsType ?? signature?.type),
            "label": .optional(signature?.label), "uuid": .optional(filesystem?.fsUUID ?? signature?.uuid),
            "mountPoint": .optional(filesystem?.mountPoint),
            "verity": filesystem?.verity.map { verity in
                .object([
                    "rootHash": .text(verity.rootHash), "partitionNumber": .count(UInt64(verity.hashNumber)),
                    "hashOffsetBytes": verity.hashOffset.map { .count($0) } ?? .null,
                ])
            } ?? .null,
        ]
    }
}

extension PackProgress {
    /// Of the event `progress`.
    package func fields(_ estimate: ProgressEstimate) -> [String: JSONValue] {
        [
            "phase": .text(streamPhase.rawValue), "readBytes": .count(readBytes), "dataBytes": .count(totalBytes),
            "writtenBytes": .count(writtenBytes),
            "readBytesPerSecond": estimate.isSettled ? .number(estimate.rates.fetched.rounded()) : .null,
            "etaSeconds": phase == .pack ? estimate.etaSeconds.map { .number(($0 * 10).rounded() / 10) } ?? .null : .null,
        ]
    }

    package var streamPhase: StreamPhase { phase == .pack ? .write : .commit }
}

extension PackedImage {
    /// Of the event `completed`.
    package var fields: [String: JSONValue] {
        let seconds = result.elapsedSeconds
        return [
            "output": .text(path), "hash": .text(hashText), "seconds": .number(seconds), "fileBytes": .count(result.fileBytes),
            "imageBytes": .count(contents.imageBytes), "readBytes": .count(result.readBytes),
            "readBytesPerSecond": .number((Double(result.readBytes) / max(seconds, 0.001)).rounded()),
            "frameCount": .count(UInt64(result.frameCount)), "peakMemoryBytes": .count(peakMemoryBytes()),
        ]
    }
}
