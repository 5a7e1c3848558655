import CosiFormat
import StreamDisk

extension CosiMetadata {
    /// `metadata.json`, with its keys in a fixed order. What it says, `parse` reads again.
    var json: String {
        var root: [String: JSONValue] = [
            "version": .text("\(version)"),
            "osArch": .text(osArch.rawValue),
            "osRelease": .text(osRelease),
            "images": .list(images.map(\.json)),
            "osPackages": .list((osPackages ?? []).map(\.json)),
            "bootloader": bootloader.json,
            "disk": .object([
                "size": .count(disk.sizeBytes), "type": .text("gpt"), "lbaSize": .count(UInt64(disk.lbaSize)),
                "gptRegions": .list(disk.gptRegions.map(\.json)),
            ]),
            "compression": .object(["maxWindowLog": .count(UInt64(maxWindowLog))]),
        ]
        if let id { root["id"] = .text(id) }
        return JSONValue.object(root).pretty
    }
}

extension CosiMetadata.ImageFile {
    fileprivate var json: JSONValue {
        .object([
            "path": .text(path), "compressedSize": .count(compressedSizeBytes), "uncompressedSize": .count(uncompressedSizeBytes),
            "sha384": .text(sha384.hexadecimal),
        ])
    }
}

extension CosiMetadata.Filesystem {
    fileprivate var json: JSONValue {
        .object([
            "image": image.json, "mountPoint": .text(mountPoint), "fsType": .text(fsType), "fsUuid": .text(fsUUID),
            "partType": .text("\(partitionType)"), "verity": verity?.json ?? .null,
        ])
    }
}

extension CosiMetadata.Verity {
    fileprivate var json: JSONValue {
        var fields: [String: JSONValue] = ["image": image.json, "roothash": .text(rootHash)]
        if let hashOffset { fields["hashOffset"] = .count(hashOffset) }
        return .object(fields)
    }
}

extension CosiMetadata.Package {
    fileprivate var json: JSONValue {
        .object(["name": .text(name), "version": .text(version), "release": .text(release), "arch": .text(arch)])
    }
}

extension CosiMetadata.Bootloader {
    fileprivate var json: JSONValue {
        var fields: [String: JSONValue] = ["type": .text(type)]
        if type == "systemd-boot" { fields["systemdBoot"] = .object(["entries": .list(entries.map(\.json))]) }
        return .object(fields)
    }
}

extension CosiMetadata.BootEntry {
    fileprivate var json: JSONValue {
        .object(["type": .text(type), "path": .text(path), "cmdline": .text(cmdline), "kernel": .text(kernel)])
    }
}

extension CosiMetadata.Region {
    fileprivate var json: JSONValue {
        var fields: [String: JSONValue] = ["image": image.json]
        switch kind {
        case .primaryGPT: fields["type"] = .text("primary-gpt")
        case .partition(let number):
            fields["type"] = .text("partition")
            fields["number"] = .count(UInt64(number))
        }
        if let contentIndex {
            fields["contentIndex"] = .object([
                "offset": .count(contentIndex.offset), "size": .count(contentIndex.sizeBytes),
                "sha384": .text(contentIndex.sha384.hexadecimal),
            ])
        }
        return .object(fields)
    }
}
