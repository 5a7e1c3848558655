import CosiFormat

/// Reads and checks an image as far as it can be without its partitions' data: marker, metadata, its hash, every tar header
/// (where the source can jump), the GPT.
///
/// Blocks; throws what is wrong, in the image's terms, and `.memory` when reading it would take more than the run may have
/// (`StreamOptions.memoryLimitBytes`).
public func inspectImage(
    _ source: any ImageSource, hash: ExpectedHash = .ignored, memoryLimitBytes: UInt64? = nil, observer: SourceObserver
) throws(StreamFault) -> ImageContents {
    let head: ImageHead
    do throws(SourceError) {
        head = try source.open(wantedBytes: ImageReader.headBytes, observer: observer)
    } catch {
        throw StreamFault(error)
    }
    var inspection = ImageInspection(
        reader: ImageReader(source: source, head: head, observer: observer),
        memory: PreflightMemory(limits: MemoryLimits(askedBytes: memoryLimitBytes)))
    return try inspection.run(hash: hash)
}

private struct ImageInspection {
    let reader: ImageReader
    var memory: PreflightMemory
    var scanner = TarScanner()
    var entries: [TarEntry] = []
    var warnings: [FormatWarning] = []

    init(reader: ImageReader, memory: PreflightMemory) {
        self.reader = reader
        self.memory = memory
    }

    mutating func run(hash: ExpectedHash) throws(StreamFault) -> ImageContents {
        // First the metadata and its hash: nothing else of an image that is not the one asked for is worth reading.
        try scan { entries in entries.contains { $0.isNamed(CosiLayout.metadataName) } }
        let entry = try valid { () throws(FormatError) in try CosiLayout.metadataEntry(in: entries) }
        try memory.willRead(metadataBytes: entry.sizeBytes)
        let json = try reader.bytes(entry.dataOffset, count: entry.sizeBytes)
        let digest = SHA384.digest(of: json)
        if case .sha384(let expected) = hash, expected != digest {
            throw .image(
                CosiLayout.metadataName,
                "has SHA-384 \(digest.hexadecimal), asked for was \(expected.hexadecimal): this is not the image meant")
        }
        let (metadata, metadataWarnings) = try valid { () throws(FormatError) in try CosiMetadata.parse(json) }
        warnings += metadataWarnings
        return reader.isSequential
            ? try sequential(metadata: metadata, digest: digest) : try complete(metadata: metadata, digest: digest)
    }

    /// Random access: every header is read and checked now.
    private mutating func complete(metadata: CosiMetadata, digest: [UInt8]) throws(StreamFault) -> ImageContents {
        try scan { _ in false }
        let gpt = try readGPT(metadata)
        let (layout, layoutWarnings) = try valid { () throws(FormatError) in
            try CosiLayout.check(metadata: metadata, entries: entries, gpt: gpt)
        }
        if let size = reader.sizeBytes {
            for image in layout.images where image.fileOffset + image.compressedSizeBytes > size {
                throw .image("tar entry '\(image.path)'", "reaches past the end of the file (\(size) bytes)")
            }
        }
        warnings += layoutWarnings
        return contents(metadata: metadata, digest: digest, gpt: gpt, images: layout.images, pending: nil)
    }

    /// One pass: headers up to the first partition image's, the others as they come.
    private mutating func sequential(metadata: CosiMetadata, digest: [UInt8]) throws(StreamFault) -> ImageContents {
        func kind(_ entry: TarEntry) -> CosiMetadata.Region.Kind? { metadata.region(for: entry)?.kind }
        try scan { entries in
            entries.contains { if let kind = kind($0), kind != .primaryGPT { true } else { false } }
                || entries.contains { kind($0) == .primaryGPT }
        }
        guard entries.contains(where: { kind($0) == .primaryGPT }) else {
            // Either it is missing, or it stands behind data that could not be read again.
            if scanner.needs == nil { _ = try readGPT(metadata) }
            throw .source(
                SourceError(
                    .unsupported, source: reader.source.name,
                    reason: "the server does not answer range requests, and the image's GPT stands behind its partitions; "
                        + "serve it from a server with ranges, or download it first"))
        }
        let gpt = try readGPT(metadata)
        try scan { entries in entries.contains { if let kind = kind($0), kind != .primaryGPT { true } else { false } } }
        let known = entries
        let checked = try valid { () throws(FormatError) -> (CosiEntryChecker, CosiLayout.Image?) in
            var checker = try CosiEntryChecker(metadata: metadata, gpt: gpt)
            var first: CosiLayout.Image?
            for entry in known { first = try checker.check(entry) ?? first }
            return (checker, first)
        }
        guard let first = checked.1 else {
            // The archive ended without any partition image: the checker says which is missing.
            let (layout, layoutWarnings) = try valid { () throws(FormatError) in try checked.0.finish() }
            warnings += layoutWarnings
            return contents(metadata: metadata, digest: digest, gpt: gpt, images: layout.images, pending: nil)
        }
        return contents(
            metadata: metadata, digest: digest, gpt: gpt, images: [],
            pending: PendingScan(scanner: scanner, checker: checked.0, first: first))
    }

    private func contents(
        metadata: CosiMetadata, digest: [UInt8], gpt: GPT, images: [CosiLayout.Image], pending: PendingScan?
    ) -> ImageContents {
        ImageContents(
            name: reader.source.name, fileSizeBytes: reader.sizeBytes, metadata: metadata, metadataSHA384: digest,
            gpt: gpt, images: images, isSequential: reader.isSequential,
            readBufferBytes: reader.head.readBufferBytes, metadataBytes: memory.metadataBytes, warnings: warnings, pending: pending)
    }

    /// Reads headers until `enough` says so or the archive ends.
    private mutating func scan(until enough: ([TarEntry]) -> Bool) throws(StreamFault) {
        while !enough(entries), let needs = scanner.needs {
            if let size = reader.sizeBytes, needs.upperBound > size {
                if let error = scanner.truncation(fileSizeBytes: size) { throw .image(error) }
                warnings.append(
                    FormatWarning(place: "tar archive", message: "ends without the two zero blocks that end a tar"))
                return
            }
            let bytes = try reader.bytes(needs.lowerBound, count: needs.upperBound - needs.lowerBound)
            var next = scanner
            let entry = try valid { () throws(FormatError) in try next.feed(bytes) }
            scanner = next
            if let entry { entries.append(entry) }
        }
    }

    private mutating func readGPT(_ metadata: CosiMetadata) throws(StreamFault) -> GPT {
        let image = try valid { () throws(FormatError) in
            try CosiLayout.gptImage(metadata: metadata, entries: entries)
        }
        let place = "image '\(image.path)'"
        guard image.compressedSizeBytes <= UInt64(GPT.imageBytesMax),
            image.uncompressedSizeBytes <= UInt64(GPT.imageBytesMax)
        else { throw .image(place, "is larger than the \(GPT.imageBytesMax) bytes a partition table may have") }
        try memory.willDecode(
            tableBytes: image.uncompressedSizeBytes, from: image.compressedSizeBytes,
            windowBytes: 1 << UInt64(metadata.maxWindowLog))
        let compressed = try reader.bytes(image.fileOffset, count: image.compressedSizeBytes)
        let digest = SHA384.digest(of: compressed)
        guard digest == image.sha384 else {
            throw .image(place, "its SHA-384 is \(digest.hexadecimal), its metadata says \(image.sha384.hexadecimal)")
        }
        let bytes: [UInt8]
        do throws(ZstdError) {
            bytes = try ZstdDecoder.decode(
                compressed, sizeBytes: Int(image.uncompressedSizeBytes), windowLogMax: metadata.maxWindowLog)
        } catch {
            switch error {
            case .truncated: throw .image(place, "its last zstd frame is cut off")
            case .corrupt(let words): throw .image(place, "corrupt zstd data: \(words)")
            }
        }
        guard bytes.count == Int(image.uncompressedSizeBytes) else {
            throw .image(place, "it decodes to \(bytes.count) bytes, its metadata says \(image.uncompressedSizeBytes)")
        }
        let disk = metadata.disk
        let (gpt, gptWarnings) = try valid { () throws(FormatError) in
            try GPT.parse(primary: bytes, lbaSize: disk.lbaSize, diskSizeBytes: disk.sizeBytes)
        }
        warnings += gptWarnings
        return gpt
    }
}

/// Runs a check of the format and gives its error the run's type.
func valid<Value>(_ check: () throws(FormatError) -> Value) throws(StreamFault) -> Value {
    do throws(FormatError) { return try check() } catch { throw .image(error) }
}

/// Small reads of an image: from the head that is already here, else from the source.
struct ImageReader {
    /// Marker, metadata and GPT of most images, in one request.
    static let headBytes = 1 << 20

    let source: any ImageSource
    let head: ImageHead
    let observer: SourceObserver

    var sizeBytes: UInt64? { head.sizeBytes }
    var isSequential: Bool { head.isSequential }

    /// `count` bytes from `offset`, at most the 16 MiB that metadata may have.
    func bytes(_ offset: UInt64, count: UInt64) throws(StreamFault) -> [UInt8] {
        precondition(count <= UInt64(CosiMetadata.inputBytesMax))
        let (end, overflow) = offset.addingReportingOverflow(count)
        if overflow { throw .image("tar archive", "places data past any file's end") }
        if let sizeBytes, end > sizeBytes {
            throw .image(
                "tar archive", "is truncated: bytes \(offset) to \(end) are needed, the file ends at byte \(sizeBytes)")
        }
        if end <= UInt64(head.bytes.count) { return Array(head.bytes[Int(offset)..<Int(end)]) }
        let collector = ByteCollector(bytesMax: Int(count))
        do throws(SourceError) {
            try source.read(offset..<end, into: collector, observer: observer)
        } catch {
            throw StreamFault(error)
        }
        return collector.bytes
    }
}
