import StreamDisk

// What `disks`, `inspect` and the events say alike, under the same keys: docs/EVENTS.md lists them.

/// Why a disk was not taken: a code for programs, and the words.
struct Reason {
    let code: String
    let message: String

    var value: JSONValue { .object(["code": .text(code), "message": .text(message)]) }
}

extension DiskInfo {
    /// What it is; not what it holds, nor what stands against it.
    var fields: [String: JSONValue] {
        [
            "name": .text(name), "path": .text(path), "sizeBytes": .count(sizeBytes),
            "blockBytes": .count(UInt64(logicalBlockSize)), "physicalBlockBytes": .count(UInt64(physicalBlockSize)),
            "vendor": .optional(vendor), "model": .optional(model), "serial": .optional(serial), "wwn": .optional(wwid),
            "transport": .optional(transport), "links": .list(links.map { .text($0) }), "removable": .flag(isRemovable),
            "readOnly": .flag(isReadOnly), "rotational": .flag(isRotational),
        ]
    }

    /// Its maker's names and how it is attached, for people.
    var names: [String] {
        let maker = [vendor, model].compactMap { $0 }.joined(separator: " ")
        return [maker.isEmpty ? nil : maker, serial.map { "serial \($0)" }, transport].compactMap { $0 }
    }
}

extension DiskRejection {
    var reason: Reason { Reason(code: code, message: description) }
}

extension StreamPlan {
    /// The disk that is written, with the same keys as in `disks --json`.
    var targetFields: [String: JSONValue] {
        let file: [String: JSONValue] = [
            "path": .text(resolvedDiskPath), "sizeBytes": .count(diskBytes), "blockBytes": .count(UInt64(blockBytes)),
        ]
        return (diskInfo?.fields ?? file).adding(["contents": contents?.value ?? .null])
    }
}

extension StreamPlan {
    func isChosen(_ disk: ConsideredDisk) -> Bool { disk.disk.number == diskInfo?.number }

    /// Empty for the one that was chosen.
    func reasons(against disk: ConsideredDisk) -> [Reason] {
        if isChosen(disk) { return [] }
        guard disk.reasons.isEmpty else { return disk.reasons.map(\.reason) }
        let isLarger = disk.disk.sizeBytes > diskBytes
        return [Reason(code: "notSmallest", message: isLarger ? "fits, but is larger" : "fits, and is as large, but comes later")]
    }
}

extension DiskContents {
    var value: JSONValue {
        let fields: [String: JSONValue] = [
            "tableType": .optional(tableType), "partitionCount": .count(UInt64(partitionCount)),
            "partitions": .list(
                partitions.map { partition in
                    let fields: [String: JSONValue] = [
                        "number": .count(UInt64(max(partition.number, 0))), "name": .optional(partition.name),
                        "offsetBytes": .count(partition.offsetBytes), "sizeBytes": .count(partition.sizeBytes),
                    ]
                    return .object(fields.adding(partition.signature.fields))
                }),
        ]
        return .object(fields.adding(signature.fields))
    }

    /// In few words, for a table of disks.
    var summary: String {
        var parts: [String] = []
        if let tableType { parts.append("\(tableType), \(partitionCount) partition\(partitionCount == 1 ? "" : "s")") }
        if let signature { parts.append(signature.text) }
        return parts.isEmpty ? "no known content" : parts.joined(separator: "; ")
    }
}

extension DiskContents.Signature {
    /// `ext4 'root'`
    var text: String { type + (label.map { " '\($0)'" } ?? "") }
}

extension DiskContents.Signature? {
    fileprivate var fields: [String: JSONValue] {
        ["fsType": .optional(self?.type), "label": .optional(self?.label), "uuid": .optional(self?.uuid)]
    }
}
