// The fields that `disks`, `inspect` and the events share. docs/EVENTS.md lists them.

extension DiskInfo {
    /// The disk's properties, without its contents and rejections.
    package var fields: [String: JSONValue] {
        let fields: [String: JSONValue] = [
            "name": .text(name), "path": .text(path), "sizeBytes": .count(sizeBytes),
            "blockBytes": .count(UInt64(blockBytes)), "physicalBlockBytes": .count(UInt64(physicalBlockBytes)),
            "vendor": .optional(vendor), "model": .optional(model), "serial": .optional(serial), "wwn": .optional(wwid),
            "transport": .optional(transport), "links": .list(links.map { .text($0) }), "removable": .flag(isRemovable),
            "readOnly": .flag(isReadOnly), "rotational": .flag(isRotational),
        ]
        return place.map { fields.adding(["wholeDisk": .text($0.diskPath)]) } ?? fields
    }

    /// The disk as `disks` prints it for programs (docs/EVENTS.md).
    package func json(_ contents: DiskContents?) -> JSONValue {
        let fields: [String: JSONValue] = [
            "candidate": .flag(obstacles.isEmpty), "reasons": .list(obstacles.map(\.json)),
            "contents": contents?.json ?? .null,
        ]
        return .object(self.fields.adding(fields))
    }
}

extension DiskRejection {
    package var json: JSONValue { .object(["code": .text(code), "message": .text(description)]) }
}

extension DiskContents {
    package var json: JSONValue {
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
}

extension DiskContents.Signature? {
    fileprivate var fields: [String: JSONValue] {
        ["fsType": .optional(self?.type), "label": .optional(self?.label), "uuid": .optional(self?.uuid)]
    }
}

extension HostDisks {
    /// The disks that are shown, and what is on each; nil where that could not be read.
    package func shown(selectedBy hints: [DiskHint] = []) -> [(info: DiskInfo, contents: DiskContents?)] {
        list().filter { !$0.isUnbound }.map { (info: $0.selected(by: hints), contents: contents(of: $0)) }
    }

    /// The output of `disks` for programs (docs/EVENTS.md): the disks of ``list()``, what is on each, and the obstacles that it
    /// has when selected by these hints. Opens each disk to read it, for two seconds at most. Leaves out devices that nothing
    /// is bound to.
    public func json(selectedBy hints: [DiskHint] = []) -> JSONValue {
        .list(shown(selectedBy: hints).map { $0.info.json($0.contents) })
    }
}
