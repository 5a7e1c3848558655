import CosiFormat
import StreamDisk

/// Where everything goes in the image file, worked out before a byte is read: what is not known yet has room reserved.
///
/// The order is the format's: marker, metadata, partition table, then the partitions by their place on the disk. Of each
/// partition's image the beginning is reserved for its content index; the frames follow, and so nothing is ever moved.
struct PackPlan {
    /// One partition's image.
    struct Image {
        let partition: PackInput.Partition
        let typeGUID: GUID
        /// What is not known to be zero, in whole blocks; holes shorter than a stretch are part of it.
        let runs: [Range<UInt64>]
        let indexBytesMax: Int

        /// The index in its frame, and the header of the frame that fills the rest.
        var reservedBytes: Int { 2 * PackPlan.skippableHeaderBytes + indexBytesMax }
    }

    /// A skippable frame's header (RFC 8878, section 3.1.2).
    static let skippableHeaderBytes = 8
    /// Stands for a compressed size while it is not known. It has as many digits as any, and their sum does not overflow.
    private static let compressedBytesMax: UInt64 = 999_999_999_999_999

    let input: PackInput
    let images: [Image]
    let cutter: FrameCutter
    /// The whole of `metadata.json`, filled up with blanks.
    let metadataBytes: Int

    /// What is read.
    var dataBytes: UInt64 {
        images.reduce(0) { sum, image in
            image.partition.content.data.reduce(sum) { $0 + ($1.upperBound - $1.lowerBound) }
        }
    }

    /// Checks all that can be known: afterwards only reading and writing can fail.
    static func make(_ input: PackInput, _ options: PackOptions) throws(PackError) -> PackPlan {
        let cutter = FrameCutter(meanBytes: options.frameBytes)
        do throws(FormatError) {
            let gpt = try GPT.parse(primary: input.table, blockBytes: input.blockBytes, diskSizeBytes: input.diskBytes).0
            var placed: [(firstLBA: UInt64, image: Image)] = []
            for partition in input.partitions {
                guard let entry = gpt.partition(number: partition.number) else {
                    throw error(partition, "has no entry in the disk's table", .gpt)
                }
                placed.append((entry.firstLBA, try image(partition, entry, cutter)))
            }
            let images = placed.sorted { $0.firstLBA < $1.firstLBA }.map(\.image)
            for image in images {
                guard let number = image.partition.filesystem?.verity?.hashNumber else { continue }
                guard images.contains(where: { $0.partition.number == number }) else {
                    throw error(image.partition, "has its hash tree in partition \(number), which is not packed")
                }
            }
            let plan = PackPlan(input: input, images: images, cutter: cutter, metadataBytes: 0)
            let text = Array(plan.standIn.json.utf8)
            _ = try CosiEntryChecker(metadata: CosiMetadata.parse(text).0, gpt: gpt)
            return PackPlan(input: input, images: images, cutter: cutter, metadataBytes: text.count)
        } catch {
            throw .invalid(error)
        }
    }

    private static func error(
        _ partition: PackInput.Partition, _ problem: String, _ code: FormatError.Code = .layout
    ) -> FormatError {
        FormatError(code, place: "partition \(partition.number)", problem: problem)
    }

    private static func image(
        _ partition: PackInput.Partition, _ entry: GPTPartition, _ cutter: FrameCutter
    ) throws(FormatError) -> Image {
        let size = partition.content.sizeBytes
        guard size > 0, size < compressedBytesMax / 2 else { throw error(partition, "has an image of \(size) bytes") }
        guard 1...TarHeader.nameFieldBytes ~= partition.imagePath.utf8.count else {
            throw error(partition, "has an image path of \(partition.imagePath.utf8.count) bytes, not 1 to 100", .tar)
        }
        let runs = runs(partition.content, cutter)
        let count = cutter.frameCountMax(runs: runs, sizeBytes: size)
        guard count <= ContentIndex.frameCountMax else {
            throw error(
                partition,
                "may take \(count) frames, more than an index has (\(ContentIndex.frameCountMax)); make the frames larger")
        }
        return Image(
            partition: partition, typeGUID: entry.typeGUID, runs: runs, indexBytesMax: ContentIndex.byteCount(frames: count))
    }

    /// Metadata of the greatest length: what is not known yet has as many digits as it can have.
    private var standIn: CosiMetadata {
        let hash = [UInt8](repeating: 0, count: 48)
        let table = CosiMetadata.ImageFile(
            path: input.tablePath, compressedSizeBytes: UInt64(GPT.imageBytesMax),
            uncompressedSizeBytes: UInt64(input.table.count), sha384: hash)
        let packed = images.map { image in
            PackedImage(
                file: CosiMetadata.ImageFile(
                    path: image.partition.imagePath, compressedSizeBytes: Self.compressedBytesMax,
                    uncompressedSizeBytes: image.partition.content.sizeBytes, sha384: hash),
                index: CosiMetadata.ContentIndexPlace(
                    offset: UInt64(Self.skippableHeaderBytes), sizeBytes: UInt64(image.indexBytesMax), sha384: hash))
        }
        return metadata(table: table, images: packed, maxWindowLog: PackOptions.windowLogRange.upperBound)
    }

    /// An image that is there, or stands for one.
    struct PackedImage {
        let file: CosiMetadata.ImageFile
        let index: CosiMetadata.ContentIndexPlace
    }

    /// - Parameter images: in the order of the plan's.
    func metadata(table: CosiMetadata.ImageFile, images packed: [PackedImage], maxWindowLog: Int) -> CosiMetadata {
        var regions = [CosiMetadata.Region(image: table, kind: .primaryGPT)]
        var filesystems: [CosiMetadata.Filesystem] = []
        for (image, made) in zip(images, packed) {
            regions.append(
                CosiMetadata.Region(
                    image: made.file, kind: .partition(number: image.partition.number), contentIndex: made.index))
            guard let filesystem = image.partition.filesystem else { continue }
            let verity = filesystem.verity.map { verity in
                let hashes = zip(images, packed).first { $0.0.partition.number == verity.hashNumber }?.1
                return CosiMetadata.Verity(
                    // One that is not packed: `make` refuses it.
                    image: hashes?.file ?? made.file, rootHash: verity.rootHash, hashOffset: verity.hashOffset,
                    isInline: verity.hashNumber == image.partition.number)
            }
            filesystems.append(
                CosiMetadata.Filesystem(
                    image: made.file, mountPoint: filesystem.mountPoint, fsType: filesystem.fsType, fsUUID: filesystem.fsUUID,
                    partitionType: image.typeGUID, verity: verity))
        }
        let disk = CosiMetadata.DiskLayout(sizeBytes: input.diskBytes, lbaSize: input.blockBytes, gptRegions: regions)
        return CosiMetadata(
            osArch: input.system.osArch, osRelease: input.system.osRelease, id: input.system.id, images: filesystems,
            osPackages: input.system.osPackages, bootloader: input.system.bootloader, disk: disk, maxWindowLog: maxWindowLog)
    }

    /// The data in whole blocks, joined over what is shorter than a stretch of zeros, at both ends too.
    static func runs(_ content: PartitionContent, _ cutter: FrameCutter) -> [Range<UInt64>] {
        let block = UInt64(FrameCutter.blockBytes)
        var runs: [Range<UInt64>] = []
        var previousEnd: UInt64 = 0
        for data in content.data {
            precondition(!data.isEmpty && data.lowerBound >= previousEnd && data.upperBound <= content.sizeBytes)
            previousEnd = data.upperBound
            // What lies before the first run is a stretch, or part of it.
            let start = data.lowerBound < cutter.zeroStretchBytes ? 0 : data.lowerBound / block * block
            let end = min((data.upperBound + block - 1) / block * block, content.sizeBytes)
            if let last = runs.last, start < last.upperBound + UInt64(cutter.zeroStretchBytes) {
                runs[runs.count - 1] = last.lowerBound..<end
            } else {
                runs.append(start..<end)
            }
        }
        if let last = runs.last, content.sizeBytes - last.upperBound < cutter.zeroStretchBytes {
            runs[runs.count - 1] = last.lowerBound..<content.sizeBytes
        }
        return runs
    }
}
