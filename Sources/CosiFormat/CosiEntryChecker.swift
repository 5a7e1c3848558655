/// Makes ``CosiLayout``'s checks one tar entry at a time, for a stream whose later entries are not known yet.
///
/// Pass it every entry of the file, in file order, and write an image only after `check` has returned it. A missing or
/// duplicate entry that comes after the images already written is found only when it comes, or at the end.
package struct CosiEntryChecker: Sendable {
    private let metadata: CosiMetadata
    private let partitionByNumber: [Int: GPTPartition]

    private var warnings: [FormatWarning] = []
    private var images: [CosiLayout.Image] = []
    private var entryCount = 0
    private var hasMarker = false
    private var hasDotSlash = false
    private var hasMetadata = false
    private var seenPaths: Set<[UInt8]> = []
    /// Images of verity hash trees that no region names and whose entries have not come yet.
    private var unplacedHashes: [[UInt8]: (place: String, image: CosiMetadata.ImageFile)] = [:]

    /// Checks the metadata against the GPT: every region has an entry that is large enough for its image.
    package init(metadata: CosiMetadata, gpt: GPT) throws(FormatError) {
        self.metadata = metadata
        partitionByNumber = Dictionary(uniqueKeysWithValues: gpt.partitions.map { ($0.number, $0) })
        guard metadata.disk.lbaSize == gpt.blockBytes,
            metadata.disk.sizeBytes / UInt64(gpt.blockBytes) == gpt.diskBlocks
        else {
            throw FormatError(
                .layout, place: "GPT", problem: "was read for another disk size or block size than metadata.json's")
        }
        for (index, filesystem) in metadata.images.enumerated() {
            guard let image = filesystem.verity?.image, metadata.regionIndexByPath[image.pathBytes] == nil else { continue }
            unplacedHashes[image.pathBytes] = ("metadata.json: images[\(index)].verity.image.path", image)
        }
        try checkRegions(gpt)
    }

    /// Checks the next entry of the file. Returns the image to write, if the entry holds one.
    package mutating func check(_ entry: TarEntry) throws(FormatError) -> CosiLayout.Image? {
        defer { entryCount += 1 }
        warnOnName(entry)
        if entry.isNamed(CosiLayout.metadataName) {
            guard !hasMetadata else { throw FormatError(.layout, place: entry.place, problem: "is there twice") }
            hasMetadata = true
            return nil
        }
        if let hash = unplacedHashes.removeValue(forKey: entry.nameBytes) {
            try CosiLayout.checkEntry(entry, carries: hash.image)
        }
        guard let region = metadata.region(for: entry) else { return nil }
        guard seenPaths.insert(entry.nameBytes).inserted else {
            throw FormatError(.layout, place: entry.place, problem: "is there twice")
        }
        try CosiLayout.checkEntry(entry, carries: region.image)
        switch region.kind {
        case .primaryGPT:
            if !images.isEmpty {
                warnings.append(
                    FormatWarning(
                        place: entry.place, message: "is the primary GPT and stands behind a partition's image"))
            }
            return nil
        case .partition(let number):
            guard let partition = partitionByNumber[number] else { preconditionFailure("checked in init") }
            let image = CosiLayout.Image(
                number: number, path: region.image.path, fileOffset: entry.dataOffset,
                compressedSizeBytes: region.image.compressedSizeBytes,
                decodedBytes: region.image.uncompressedSizeBytes, sha384: region.image.sha384,
                partition: partition, filesystem: metadata.filesystem(at: region.image))
            images.append(image)
            return image
        }
    }

    /// Returns the warnings that have not been taken yet.
    package mutating func takeWarnings() -> [FormatWarning] {
        defer { warnings = [] }
        return warnings
    }

    /// Call it after the last entry: checks that nothing is missing. Returns the warnings that have not been taken yet.
    package consuming func finish() throws(FormatError) -> (CosiLayout, [FormatWarning]) {
        guard hasMetadata else {
            throw FormatError(
                .notCosi, place: "tar archive", problem: "has no entry '\(CosiLayout.metadataName)': this is not a COSI file")
        }
        for region in metadata.disk.gptRegions where !seenPaths.contains(region.image.pathBytes) {
            throw FormatError(
                .entryMissing, place: "tar entry \(quoted(region.image.path))", problem: "is missing; metadata.json names it")
        }
        if let (place, image) = unplacedHashes.values.min(by: { $0.place < $1.place }) {
            throw FormatError(
                .entryMissing, place: place,
                problem: "is \(quoted(image.path)), which no region in disk.gptRegions has, nor the tar an entry for")
        }
        return (CosiLayout(images: images), warnings)
    }

    private mutating func warnOnName(_ entry: TarEntry) {
        if entry.nameHadDotSlash, !hasDotSlash {
            hasDotSlash = true
            warnings.append(FormatWarning(place: entry.place, message: "begins with './'"))
        }
        if entry.isNamed(CosiLayout.markerName) { hasMarker = true }
        if entryCount == 0, !hasMarker {
            warnings.append(
                FormatWarning(place: "tar archive", message: "does not begin with '\(CosiLayout.markerName)'"))
        }
        if entry.isNamed(CosiLayout.metadataName), entryCount > (hasMarker ? 1 : 0) {
            warnings.append(
                FormatWarning(place: entry.place, message: "does not stand at the beginning, right behind the marker"))
        }
    }

    private mutating func checkRegions(_ gpt: GPT) throws(FormatError) {
        warnings += try RegionNumbers(metadata, gpt).check()
        for partition in gpt.partitions where !metadata.hasRegion(number: partition.number) {
            warnings.append(
                FormatWarning(
                    place: "\(partition.place) \(quoted(partition.name))",
                    message: "has no image: what the disk holds there is left alone"))
        }
    }
}

extension CosiMetadata {
    func filesystem(at image: ImageFile) -> Filesystem? {
        filesystemIndexByPath[image.pathBytes].map { images[$0] }
    }

    fileprivate func hasRegion(number: Int) -> Bool {
        disk.gptRegions.contains { $0.kind == .partition(number: number) }
    }
}
