package import CosiFormat

/// What is to be packed, and how.
package struct PackRequest: Sendable {
    /// A block device, a raw file, or a virtual disk.
    package var source: String
    /// Of a file, in bytes; nil: as its table shows.
    package var blockBytes: Int?
    /// What is taken of swap space and of partitions without a file system.
    package var examine = ExamineOptions()
    /// Whether ext file systems are made as small as their files allow, on a copy.
    package var shrinks = false
    /// Partitions that get no image: a reader leaves their bytes alone.
    package var without: Set<Int> = []
    /// Nil: all but `without`.
    package var only: Set<Int>?
    package var overrides = PackOverrides()
    /// Where copies go, files without a name: of a virtual disk, and of file systems to be shrunk.
    package var temporaryFolder: String

    package init(source: String, temporaryFolder: String) {
        self.source = source
        self.temporaryFolder = temporaryFolder
    }
}

/// What the metadata is to say, whatever the disk says.
package struct PackOverrides: Sendable {
    /// Of one partition's file system.
    package struct Filesystem: Sendable {
        /// A path; empty: the file system is not listed.
        package var mountPoint: String?
        package var fsType: String?
        package var fsUUID: String?
        package var verity: PackInput.Verity?

        package init() {}
    }

    package var osArch: CosiMetadata.Architecture?
    package var osRelease: String?
    package var osPackages: [CosiMetadata.Package]?
    package var bootloader: CosiMetadata.Bootloader?
    package var id: String?
    /// By the partition's number.
    package var filesystems: [Int: Filesystem] = [:]

    package init() {}

    /// Reads them from JSON, whose names are those of `metadata.json`; of `images[]`, `number` names the partition, and so does that of
    /// `verity` for the hash tree. All fields may be left out.
    ///
    /// - Parameter name: the file's, for errors.
    package init(json: [UInt8], name: String) throws(FormatError) {
        let document = try JSONDocument(json, name: name, bytesMax: CosiMetadata.inputBytesMax)
        let raw = try document.decode(OverridesJSON.self)
        for (field, isThere) in [
            ("version", raw.version != nil), ("disk", raw.disk != nil), ("compression", raw.compression != nil),
        ]
        where isThere {
            throw FormatError(
                .metadata, place: "\(name): \(field)", problem: "cannot be chosen: it follows from the disk and what packs it")
        }
        if let text = raw.osArch {
            guard let arch = CosiMetadata.Architecture(packed: text) else {
                throw FormatError(
                    .metadata, place: "\(name): osArch", problem: "is '\(printable(text))', must be x86_64 or arm64")
            }
            osArch = arch
        }
        osRelease = raw.osRelease
        id = raw.id
        osPackages = raw.osPackages
        bootloader = raw.bootloader.map { .init(type: $0.type, entries: $0.systemdBoot?.entries ?? []) }
        for image in raw.images ?? [] {
            guard image.mountPoint.map({ $0.isEmpty || $0.hasPrefix("/") }) ?? true else {
                throw FormatError(
                    .metadata, place: "\(name): images: partition \(image.number)",
                    problem: "has the mount point '\(printable(image.mountPoint ?? ""))', must begin with /, or be empty for none"
                )
            }
            var filesystem = Filesystem()
            filesystem.mountPoint = image.mountPoint
            filesystem.fsType = image.fsType
            filesystem.fsUUID = image.fsUuid
            filesystem.verity = image.verity.map {
                .init(hashNumber: $0.number, rootHash: $0.roothash, hashOffset: $0.hashOffset)
            }
            guard filesystems.updateValue(filesystem, forKey: image.number) == nil else {
                throw FormatError(.metadata, place: "\(name): images", problem: "has partition \(image.number) twice")
            }
        }
    }
}

extension CosiMetadata.Architecture {
    /// As `uname -m`, dpkg and others spell it.
    package init?(packed text: String) {
        switch text.lowercased() {
        case "x86_64", "amd64", "x64": self = .x86_64
        case "arm64", "aarch64": self = .arm64
        default: return nil
        }
    }
}

/// The file of overrides as JSON has it.
private struct OverridesJSON: Decodable {
    struct Image: Decodable {
        let number: Int
        let mountPoint: String?
        let fsType: String?
        let fsUuid: String?
        let verity: Verity?
    }
    struct Verity: Decodable {
        let number: Int
        let roothash: String
        let hashOffset: UInt64?
    }
    struct Bootloader: Decodable {
        let type: String
        let systemdBoot: SystemdBoot?
    }
    struct SystemdBoot: Decodable { let entries: [CosiMetadata.BootEntry] }

    /// Is there, whatever it holds.
    struct Anything: Decodable { init(from decoder: any Decoder) {} }

    let version: Anything?
    let disk: Anything?
    let compression: Anything?
    let osArch: String?
    let osRelease: String?
    let id: String?
    let osPackages: [CosiMetadata.Package]?
    let bootloader: Bootloader?
    let images: [Image]?
}
