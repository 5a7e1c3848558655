/// The rules for the values of `metadata.json`.
struct MetadataValidator {
    var warnings: [FormatWarning] = []

    /// Sizes and counts up to this add up without overflow and fit in `off_t`.
    private static let sizeBytesMax = UInt64(Int64.max)
    private static let pathBytesMax = TarScanner.nameBytesMax

    func error(_ field: String, _ problem: String, _ code: FormatError.Code = .metadata) -> FormatError {
        FormatError(code, place: "metadata.json: " + field, problem: problem)
    }

    mutating func warn(_ field: String, _ message: String) {
        warnings.append(FormatWarning(place: "metadata.json: " + field, message: message))
    }

    func version(_ raw: MetadataJSON.VersionOnly) throws(FormatError) -> CosiMetadata.Version {
        let parts = raw.version.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 2,
            let major = decimal(parts[0]).flatMap(UInt32.init(exactly:)),
            let minor = decimal(parts[1]).flatMap(UInt32.init(exactly:))
        else {
            throw error("version", "is \(quoted(raw.version)), must be 'MAJOR.MINOR'")
        }
        guard major == 1, minor >= 2 else {
            throw error(
                "version", "is \(major).\(minor); streaming needs major version 1, minor version 2 or higher",
                .version)
        }
        return CosiMetadata.Version(major: major, minor: minor)
    }

    mutating func build(
        _ raw: MetadataJSON.Root, version: CosiMetadata.Version
    ) throws(FormatError) -> CosiMetadata {
        if let id = raw.id, GUID(id) == nil {
            throw error("id", "is \(quoted(id)), must be a UUID")
        }
        let disk = try disk(raw.disk)
        var regionIndexByPath: [[UInt8]: Int] = [:]
        for (index, region) in disk.gptRegions.enumerated() { regionIndexByPath[region.image.pathBytes] = index }

        var images: [CosiMetadata.Filesystem] = []
        for (index, filesystem) in raw.images.enumerated() {
            images.append(try self.filesystem(filesystem, "images[\(index)]"))
        }
        try checkMountPoints(images)

        var filesystemIndexByPath: [[UInt8]: Int] = [:]
        var hashPaths: Set<[UInt8]> = []
        for (index, filesystem) in images.enumerated() {
            let path = filesystem.image.pathBytes
            try checkRegion(of: filesystem.image, "images[\(index)].image", disk, regionIndexByPath)
            guard filesystemIndexByPath.updateValue(index, forKey: path) == nil else {
                throw error("images[\(index)].image.path", "is another filesystem's image too")
            }
            guard let verity = filesystem.verity else { continue }
            let place = "images[\(index)].verity.image"
            if regionIndexByPath[verity.image.pathBytes] == nil {
                // A published sample has this, and no write depends on it.
                warn(
                    place + ".path",
                    "is \(quoted(verity.image.path)), which no region in disk.gptRegions has: the hash tree is not written, "
                        + "and what opens \(quoted(filesystem.mountPoint)) by it will fail")
            } else {
                try checkRegion(of: verity.image, place, disk, regionIndexByPath)
            }
            // Inline: both equal the region, so they equal each other.
            if verity.isInline { continue }
            guard hashPaths.insert(verity.image.pathBytes).inserted else {
                throw error("images[\(index)].verity.image.path", "is another filesystem's hash image too")
            }
        }
        for (index, filesystem) in images.enumerated() {
            guard let verity = filesystem.verity, !verity.isInline, filesystemIndexByPath[verity.image.pathBytes] != nil
            else { continue }
            throw error(
                "images[\(index)].verity.image.path",
                "is another filesystem's image, must be a hash partition's or the filesystem's own")
        }
        let architecture = try architecture(raw.osArch)
        return CosiMetadata(
            version: version, osArch: architecture, osRelease: raw.osRelease, id: raw.id,
            images: images, osPackages: packages(raw.osPackages, on: architecture),
            bootloader: try bootloader(raw.bootloader), disk: disk,
            maxWindowLog: try windowLog(raw.compression.maxWindowLog.value), regionIndexByPath: regionIndexByPath,
            filesystemIndexByPath: filesystemIndexByPath)
    }

    private func architecture(_ text: String) throws(FormatError) -> CosiMetadata.Architecture {
        switch text.lowercased() {
        case "x86_64", "amd64", "x64": return .x86_64
        case "arm64", "aarch64": return .arm64
        default: throw error("osArch", "is \(quoted(text)), must be 'x86_64' or 'arm64'")
        }
    }

    private func windowLog(_ value: UInt64) throws(FormatError) -> Int {
        guard let log = Int(exactly: value), CosiMetadata.windowLogRange.contains(log) else {
            let range = CosiMetadata.windowLogRange
            throw error(
                "compression.maxWindowLog", "is \(value), must be \(range.lowerBound) to \(range.upperBound)")
        }
        return log
    }

    // MARK: The disk

    private mutating func disk(_ raw: MetadataJSON.Disk) throws(FormatError) -> CosiMetadata.DiskLayout {
        guard raw.type == "gpt" else { throw error("disk.type", "is \(quoted(raw.type)), must be 'gpt'") }
        let (size, lbaSize) = (raw.size.value, raw.lbaSize.value)
        guard lbaSize == 512 || lbaSize == 4096 else {
            throw error("disk.lbaSize", "is \(lbaSize), must be 512 or 4096")
        }
        guard size > 0, size <= Self.sizeBytesMax else {
            throw error("disk.size", "is \(size), must be 1 to 2^63 - 1")
        }
        guard size % lbaSize == 0 else {
            throw error("disk.size", "is \(size), not a multiple of disk.lbaSize \(lbaSize)")
        }
        return CosiMetadata.DiskLayout(
            sizeBytes: size, lbaSize: Int(lbaSize), gptRegions: try regions(raw.gptRegions, diskSizeBytes: size))
    }

    private mutating func regions(
        _ raw: [MetadataJSON.Region], diskSizeBytes: UInt64
    ) throws(FormatError) -> [CosiMetadata.Region] {
        guard raw.count <= CosiMetadata.regionCountMax else {
            throw error("disk.gptRegions", "has \(raw.count) regions, more than \(CosiMetadata.regionCountMax)")
        }
        guard raw.first?.type == "primary-gpt" else {
            throw error("disk.gptRegions", "does not begin with a region of type 'primary-gpt'")
        }
        var regions: [CosiMetadata.Region] = []
        var placeByNumber: [Int: String] = [:]
        var placeByPath: [[UInt8]: String] = [:]
        var compressedTotal: UInt64 = 0
        for (index, region) in raw.enumerated() {
            let place = "disk.gptRegions[\(index)]"
            guard MetadataJSON.Region.isKnown(region.type), let rawImage = region.image else {
                warn(place + ".type", "is \(quoted(region.type)), which this version does not know: left out")
                continue
            }
            let kind = try kind(of: region, isFirst: index == 0, place)
            if case .partition(let number) = kind, let other = placeByNumber.updateValue(place, forKey: number) {
                throw error(place + ".number", "is \(number), as \(other).number is")
            }
            let image = try imageFile(rawImage, place + ".image")
            if let other = placeByPath.updateValue(place, forKey: image.pathBytes) {
                throw error(place + ".image.path", "is \(quoted(image.path)), as \(other).image.path is")
            }
            guard image.uncompressedSizeBytes <= diskSizeBytes else {
                throw error(
                    place + ".image.uncompressedSize",
                    "is \(image.uncompressedSizeBytes), more than disk.size \(diskSizeBytes)")
            }
            let (total, overflow) = compressedTotal.addingReportingOverflow(image.compressedSizeBytes)
            guard !overflow, total <= Self.sizeBytesMax else {
                throw error(place + ".image.compressedSize", "makes the sum of all sizes overflow")
            }
            compressedTotal = total
            if kind == .primaryGPT { try checkGPTImageSize(image, place) }
            let index = try contentIndex(region, of: image, place + ".contentIndex")
            regions.append(CosiMetadata.Region(image: image, kind: kind, contentIndex: index))
        }
        return regions
    }

    private func kind(
        of region: MetadataJSON.Region, isFirst: Bool, _ place: String
    ) throws(FormatError) -> CosiMetadata.Region.Kind {
        if region.type == "primary-gpt" {
            guard isFirst else { throw error(place + ".type", "is a second 'primary-gpt'") }
            return .primaryGPT
        }
        guard let number = region.number?.value else { throw error(place + ".number", "is missing") }
        guard number >= 1, number <= GPT.entryCountMax else {
            throw error(place + ".number", "is \(number), must be 1 to \(GPT.entryCountMax)")
        }
        return .partition(number: Int(number))
    }

    /// The index lies inside its image, and a reader may hold it in memory.
    private func contentIndex(
        _ region: MetadataJSON.Region, of image: CosiMetadata.ImageFile, _ place: String
    ) throws(FormatError) -> CosiMetadata.ContentIndexPlace? {
        guard let raw = region.contentIndex else { return nil }
        let (offset, size) = (raw.offset.value, raw.size.value)
        guard size >= UInt64(ContentIndex.headerBytes), size <= UInt64(ContentIndex.bytesMax) else {
            throw error(
                place + ".size", "is \(size), must be \(ContentIndex.headerBytes) to \(ContentIndex.bytesMax)")
        }
        guard offset <= image.compressedSizeBytes, size <= image.compressedSizeBytes - offset else {
            throw error(place, "reaches beyond the \(image.compressedSizeBytes) bytes of its image")
        }
        return CosiMetadata.ContentIndexPlace(
            offset: offset, sizeBytes: size, sha384: try sha384(raw.sha384, place + ".sha384"))
    }

    /// Decoded in memory, so its size is bounded here.
    private func checkGPTImageSize(_ image: CosiMetadata.ImageFile, _ place: String) throws(FormatError) {
        let sizes = [("compressedSize", image.compressedSizeBytes), ("uncompressedSize", image.uncompressedSizeBytes)]
        for (name, size) in sizes where size > UInt64(GPT.imageBytesMax) {
            throw error(place + ".image." + name, "is \(size), more than a GPT takes (\(GPT.imageBytesMax))")
        }
    }

    // MARK: Images and filesystems

    private mutating func imageFile(
        _ raw: MetadataJSON.ImageFile, _ place: String
    ) throws(FormatError) -> CosiMetadata.ImageFile {
        let (compressed, uncompressed) = (raw.compressedSize.value, raw.uncompressedSize.value)
        guard compressed > 0, compressed <= Self.sizeBytesMax else {
            throw error(place + ".compressedSize", "is \(compressed), must be 1 to 2^63 - 1")
        }
        guard uncompressed <= Self.sizeBytesMax else {
            throw error(place + ".uncompressedSize", "is \(uncompressed), must be at most 2^63 - 1")
        }
        return CosiMetadata.ImageFile(
            path: try path(raw.path, place + ".path"), compressedSizeBytes: compressed,
            uncompressedSizeBytes: uncompressed, sha384: try sha384(raw.sha384, place + ".sha384"))
    }

    private mutating func path(_ raw: String, _ place: String) throws(FormatError) -> String {
        var path = raw
        if path.utf8.starts(with: "./".utf8) {
            path = String(decoding: path.utf8.dropFirst(2), as: UTF8.self)
            warn(place, "begins with './'")
        }
        guard path.utf8.count <= Self.pathBytesMax else {
            throw error(place, "is \(path.utf8.count) bytes, more than \(Self.pathBytesMax)")
        }
        guard path.unicodeScalars.allSatisfy({ isPrintable($0) }) else {
            throw error(place, "holds a character that cannot be shown: \(quoted(raw))")
        }
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].elementsEqual("images".utf8) else {
            throw error(place, "is \(quoted(raw)), must be under 'images/'")
        }
        guard parts.allSatisfy({ !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }) else {
            throw error(place, "is \(quoted(raw)), must not have '.', '..' or empty parts")
        }
        return path
    }

    private func sha384(_ text: String, _ place: String) throws(FormatError) -> [UInt8] {
        guard text.utf8.count == 96 else {
            throw error(place, "is \(text.utf8.count) hex digits, must be 96")
        }
        guard let bytes = [UInt8](hexadecimal: text) else {
            throw error(place, "holds something that is not a hex digit: \(quoted(text))")
        }
        return bytes
    }

    private mutating func filesystem(
        _ raw: MetadataJSON.Filesystem, _ place: String
    ) throws(FormatError) -> CosiMetadata.Filesystem {
        guard let partitionType = GUID(raw.partType) else {
            throw error(place + ".partType", "is \(quoted(raw.partType)), must be a UUID")
        }
        let image = try imageFile(raw.image, place + ".image")
        return CosiMetadata.Filesystem(
            image: image, mountPoint: raw.mountPoint, fsType: raw.fsType, fsUUID: raw.fsUuid,
            partitionType: partitionType,
            verity: try raw.verity.map { raw throws(FormatError) in
                try verity(raw, of: image, place + ".verity")
            })
    }

    /// The hash tree is in an image of its own, or follows the filesystem in the filesystem's image.
    private mutating func verity(
        _ raw: MetadataJSON.Verity, of filesystemImage: CosiMetadata.ImageFile, _ place: String
    ) throws(FormatError) -> CosiMetadata.Verity {
        let image = try imageFile(raw.image, place + ".image")
        let isInline = image.pathBytes == filesystemImage.pathBytes
        let hashOffset = raw.hashOffset?.value
        if let hashOffset {
            guard hashOffset < image.uncompressedSizeBytes else {
                throw error(
                    place + ".hashOffset",
                    "is \(hashOffset), outside the \(image.uncompressedSizeBytes) bytes of its image")
            }
            // veritysetup(8): a hash offset is a whole number of sectors.
            guard hashOffset % 512 == 0 else {
                throw error(place + ".hashOffset", "is \(hashOffset), must be a multiple of 512")
            }
            guard hashOffset > 0 || !isInline else {
                throw error(place + ".hashOffset", "is 0, where the filesystem itself begins")
            }
        } else if isInline {
            warn(place + ".hashOffset", "is missing: where the hash tree begins in the filesystem's own image is not told")
        }
        return CosiMetadata.Verity(image: image, rootHash: raw.roothash, hashOffset: hashOffset, isInline: isInline)
    }

    /// Only paths can clash: several filesystems may be swap or unmounted ('', 'none' or 'swap').
    private mutating func checkMountPoints(_ images: [CosiMetadata.Filesystem]) throws(FormatError) {
        var indexByPath: [[ArraySlice<UInt8>]: Int] = [:]
        for (index, image) in images.enumerated() where image.isMounted {
            // '/boot', '/boot/' and '//boot' are the same directory.
            let parts = Array(image.mountPoint.utf8).split(separator: UInt8(ascii: "/"))
            if let other = indexByPath.updateValue(index, forKey: parts) {
                throw error(
                    "images[\(index)].mountPoint",
                    "is \(quoted(image.mountPoint)), which images[\(other)] has already")
            }
        }
        let espCount = images.filter { $0.isMounted && $0.partitionType == .efiSystemPartition }.count
        if espCount > 1 { warn("images", "has \(espCount) mounted EFI system partitions") }
    }

    /// A filesystem's image has exactly one partition region, and both state the same sizes and hash.
    private func checkRegion(
        of image: CosiMetadata.ImageFile, _ place: String, _ disk: CosiMetadata.DiskLayout,
        _ regionIndexByPath: [[UInt8]: Int]
    ) throws(FormatError) {
        guard let index = regionIndexByPath[image.pathBytes] else {
            throw error(place + ".path", "is \(quoted(image.path)), which no region in disk.gptRegions has")
        }
        let region = disk.gptRegions[index]
        guard region.kind != .primaryGPT else {
            throw error(place + ".path", "is the primary GPT's image")
        }
        guard image.compressedSizeBytes == region.image.compressedSizeBytes else {
            throw error(
                place + ".compressedSize",
                "is \(image.compressedSizeBytes), but \(region.image.compressedSizeBytes) in disk.gptRegions")
        }
        guard image.uncompressedSizeBytes == region.image.uncompressedSizeBytes else {
            throw error(
                place + ".uncompressedSize",
                "is \(image.uncompressedSizeBytes), but \(region.image.uncompressedSizeBytes) in disk.gptRegions")
        }
        guard image.sha384 == region.image.sha384 else {
            throw error(place + ".sha384", "differs from the one in disk.gptRegions")
        }
    }
}
