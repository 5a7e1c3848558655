import CosiFormat

/// Does the work of `inspectImage`, on the calling thread and without events. Errors of the format name the image first.
package func readContents(
    of source: any ByteSource, hash: ExpectedHash = .ignored, memoryLimitBytes: UInt64? = nil, observer: SourceObserver
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
    do throws(StreamFault) {
        return try inspection.run(hash: hash)
    } catch {
        guard case .image(let fault) = error else { throw error }
        throw .image(fault.code, "\(printable(source.name)): \(fault.place)", fault.problem)
    }
}

private struct ImageInspection {
    var reader: ImageReader
    var memory: PreflightMemory
    var scanner = TarScanner()
    var entries: [TarEntry] = []
    var warnings: [FormatWarning] = []
    /// The archive has ended without its end marker.
    var end: UnmarkedTarEnd?
    /// How many predictions of header offsets may still be made. A wrong one reveals a form of tar that the next one may fit.
    var guessesLeft = 3

    init(reader: ImageReader, memory: PreflightMemory) {
        self.reader = reader
        self.memory = memory
    }

    mutating func run(hash: ExpectedHash) throws(StreamFault) -> ImageContents {
        try refuseForeign()
        // The metadata and its hash come first: nothing else matters if it is not the requested image.
        func isMetadata(_ entry: TarEntry) -> Bool { entry.isNamed(CosiLayout.metadataName) }
        try scan { entries in entries.contains(where: isMetadata) }
        try refuseCut(unless: entries.contains(where: isMetadata))
        let entry = try valid { () throws(FormatError) in try CosiLayout.metadataEntry(in: entries) }
        try memory.willRead(metadataBytes: entry.sizeBytes)
        let json = try reader.bytes(entry.dataOffset, count: entry.sizeBytes)
        let digest = SHA384.digest(of: json)
        if case .sha384(let expected) = hash, expected != digest { throw wrongHash(digest, expected: expected) }
        let (metadata, metadataWarnings) = try valid { () throws(FormatError) in try CosiMetadata.parse(json) }
        warnings += metadataWarnings
        return reader.isSequential
            ? try sequential(metadata: metadata, digest: digest) : try complete(metadata: metadata, digest: digest)
    }

    /// Random access: every header is read and checked now.
    private mutating func complete(metadata: CosiMetadata, digest: [UInt8]) throws(StreamFault) -> ImageContents {
        try scan(of: metadata) { _ in false }
        let names = Set(entries.map(\.nameBytes))
        try refuseCut(unless: metadata.disk.gptRegions.allSatisfy { names.contains(Array($0.image.path.utf8)) })
        let gpt = try readGPT(metadata)
        let (layout, layoutWarnings) = try valid { () throws(FormatError) in
            try CosiLayout.check(metadata: metadata, entries: entries, gpt: gpt)
        }
        if let size = reader.sizeBytes {
            for image in layout.images where image.fileOffset + image.compressedSizeBytes > size {
                throw .image(.truncated, "tar entry '\(image.path)'", "reaches past the end of the file (\(size) bytes)")
            }
        }
        warnings += layoutWarnings
        return contents(metadata: metadata, digest: digest, gpt: gpt, images: layout.images, pending: nil)
    }

    /// A single pass: headers up to the first partition image's now, the others as they arrive.
    private mutating func sequential(metadata: CosiMetadata, digest: [UInt8]) throws(StreamFault) -> ImageContents {
        func kind(_ entry: TarEntry) -> CosiMetadata.Region.Kind? { metadata.region(for: entry)?.kind }
        try scan { entries in
            entries.contains { if let kind = kind($0), kind != .primaryGPT { true } else { false } }
                || entries.contains { kind($0) == .primaryGPT }
        }
        guard entries.contains(where: { kind($0) == .primaryGPT }) else {
            // It is either missing, or comes after data that cannot be read a second time.
            try refuseCut(unless: false)
            if scanner.needs == nil || end != nil { _ = try readGPT(metadata) }
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
            warnings += checker.takeWarnings()
            return (checker, first)
        }
        try refuseCut(unless: checked.1 != nil)
        guard let first = checked.1 else {
            // The archive ended without a partition image; the checker names the missing one.
            let (layout, layoutWarnings) = try valid { () throws(FormatError) in try checked.0.finish() }
            warnings += layoutWarnings
            return contents(metadata: metadata, digest: digest, gpt: gpt, images: layout.images, pending: nil)
        }
        // The offsets of the other images are not known yet. All of them follow the first, each with a header and padded to
        // whole blocks, except for the last one's padding.
        let regions = metadata.disk.gptRegions.dropFirst()
        let least = regions.reduce(0) { $0 + ($1.image.compressedSizeBytes + 511) / 512 * 512 + 512 } - 512 - 511
        if let size = reader.sizeBytes, first.fileOffset > size || least > size - first.fileOffset {
            throw .image(
                .truncated, "tar archive",
                "is truncated: its images take at least \(least) bytes from byte \(first.fileOffset), the file ends at "
                    + "byte \(size)")
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
            readBufferBytes: reader.head.readBufferBytes, metadataBytes: memory.metadataBytes, warnings: warnings,
            pending: pending)
    }

    /// Reads headers until `enough` returns true or the archive ends.
    ///
    /// - Parameter metadata: what is known about the entries to come.
    private mutating func scan(
        of metadata: CosiMetadata? = nil, until enough: ([TarEntry]) -> Bool
    ) throws(StreamFault) {
        while end == nil, !enough(entries), let needs = scanner.needs {
            if reader.shouldReadAhead(needs) { try readAhead(needs, of: metadata) }
            let bytes: [UInt8]
            switch try reader.headerBytes(needs) {
            case .bytes(let found): bytes = found
            case .end(let offset):
                let scanner = self.scanner
                let ended = try valid { () throws(FormatError) in try scanner.end(at: offset) }
                if let warning = ended.warning { warnings.append(warning) }
                end = ended
                return
            }
            var next = scanner
            let entry = try valid { () throws(FormatError) in try next.feed(bytes) }
            scanner = next
            if let entry { entries.append(entry) }
        }
    }

    /// Reads the header at `needs`, and in the same round trip the headers after it if their offsets can be predicted.
    private mutating func readAhead(_ needs: Range<UInt64>, of metadata: CosiMetadata?) throws(StreamFault) {
        let fileBytes = reader.sizeBytes ?? 0
        guard let metadata, guessesLeft > 0 else {
            _ = try reader.readAhead([HeaderGuess.window(at: needs, fileBytes: fileBytes)])
            return
        }
        guessesLeft -= 1
        let ranges = HeaderGuess.ranges(at: needs, behind: entries, of: metadata, fileBytes: fileBytes)
        // If a server does not answer all requests at once, headers are read one by one.
        if try !reader.readAhead(ranges) { guessesLeft = 0 }
    }

    /// An entry missing from a file that was truncated in a header may have been there.
    private func refuseCut(unless isComplete: Bool) throws(StreamFault) {
        if !isComplete, let truncation = end?.truncation { throw .image(truncation) }
    }

    private mutating func readGPT(_ metadata: CosiMetadata) throws(StreamFault) -> GPT {
        let image = try valid { () throws(FormatError) in
            try CosiLayout.gptImage(metadata: metadata, entries: entries)
        }
        let place = "image '\(image.path)'"
        guard image.compressedSizeBytes <= UInt64(GPT.imageBytesMax),
            image.decodedBytes <= UInt64(GPT.imageBytesMax)
        else { throw .image(.gpt, place, "is larger than the \(GPT.imageBytesMax) bytes a partition table may have") }
        try memory.willDecode(
            tableBytes: image.decodedBytes, from: image.compressedSizeBytes,
            windowBytes: 1 << UInt64(metadata.maxWindowLog))
        let compressed = try reader.bytes(image.fileOffset, count: image.compressedSizeBytes)
        let digest = SHA384.digest(of: compressed)
        guard digest == image.sha384 else {
            throw .image(.dataHash, place, "its SHA-384 is \(digest.hexadecimal), its metadata says \(image.sha384.hexadecimal)")
        }
        let bytes: [UInt8]
        do throws(ZstdError) {
            bytes = try ZstdDecoder.decode(
                compressed, sizeBytes: Int(image.decodedBytes), windowLogMax: metadata.maxWindowLog)
        } catch {
            switch error {
            case .truncated: throw .image(.data, place, "its last zstd frame is cut off")
            case .corrupt(let words): throw .image(.data, place, "corrupt zstd data: \(words)")
            }
        }
        guard bytes.count == Int(image.decodedBytes) else {
            throw .image(.data, place, "it decodes to \(bytes.count) bytes, its metadata says \(image.decodedBytes)")
        }
        let disk = metadata.disk
        let (gpt, gptWarnings) = try valid { () throws(FormatError) in
            try GPT.parse(primary: bytes, blockBytes: disk.lbaSize, diskSizeBytes: disk.sizeBytes)
        }
        warnings += gptWarnings
        return gpt
    }
}

// MARK: The wrong file

extension ImageInspection {
    /// The error for a file that is not a tar and whose format is recognised.
    fileprivate func refuseForeign() throws(StreamFault) {
        let head = reader.head.bytes
        if beginsAsTar(head) { return }
        let notOurs = "not a COSI image"
        if head.isEmpty, reader.sizeBytes ?? 0 == 0 {
            throw .image(.notCosi, notOurs, "it is empty; check how it was made or copied")
        }
        guard let foreign = ForeignFormat(head: head, tail: lastBytes()) else { return }
        throw .image(.notCosi, notOurs, "it is \(foreign.name); \(foreign.advice)")
    }

    private func beginsAsTar(_ head: [UInt8]) -> Bool {
        var first = TarScanner()
        do throws(FormatError) {
            _ = try first.feed(Array(head.prefix(512)))
            return first.endMarkerOffset == nil
        } catch {
            return false
        }
    }

    /// The last block, if one more request can read it; else empty.
    private func lastBytes() -> [UInt8] {
        guard !reader.isSequential, let size = reader.sizeBytes, size >= 512 else { return [] }
        return (try? reader.bytes(size - 512, count: 512)) ?? []
    }

    /// The hash given may be that of the whole file: `sha384sum image.cosi`. This is checked if it takes a second at most.
    fileprivate func wrongHash(_ digest: [UInt8], expected: [UInt8]) -> StreamFault {
        let difference = "has SHA-384 \(digest.hexadecimal), asked for was \(expected.hexadecimal)"
        let why =
            wholeFileDigest() == expected
            ? ", which is the SHA-384 of the whole file"
            : ": this is not the image meant, or that is not the hash of its metadata"
        return .image(.hash, CosiLayout.metadataName, difference + why)
    }

    /// Larger files are not hashed for a hint: it would take more than a second.
    private static let hintBytesMax: UInt64 = 256 << 20

    /// The hash of a local file, or of an image that is already in memory; nil if it would have to be fetched.
    private func wholeFileDigest() -> [UInt8]? {
        guard let size = reader.sizeBytes else { return nil }
        if size == UInt64(reader.head.bytes.count) { return SHA384.digest(of: reader.head.bytes) }
        guard reader.source is FileSource, size <= Self.hintBytesMax else { return nil }
        let sink = HashSink()
        guard (try? reader.source.read(0..<size, into: sink, observer: reader.observer)) != nil else { return nil }
        return sink.finish()
    }
}

/// Hashes the bytes it receives and keeps none of them.
private final class HashSink: ByteSink, @unchecked Sendable {
    // SAFETY of Sendable: used only by the thread that created it.
    private var hash = SHA384()

    func append(_ bytes: RawSpan) { hash.update(bytes) }

    func finish() -> [UInt8] { hash.finish() }
}
