import CosiFormat

/// Where the next headers of a tar are, if the images that the metadata names follow in a known order, each with as many header
/// blocks as the ones before it.
///
/// Only a guess: the scanner is fed with what stands there, and finds out what it is. A wrong guess costs the bytes.
enum HeaderGuess {
    /// Read for one header: extended headers fit in, and a few blocks more or less than expected before it.
    private static let windowBytes: UInt64 = 4096
    /// So much of that lies in front of where the header is expected.
    private static let marginBytes: UInt64 = 1024
    /// A smaller gap between two windows is read, too: that costs less than a request.
    private static let gapBytes: UInt64 = 4096
    /// Where the partition table's image is small, it comes with its header.
    private static let tableBytesMax: UInt64 = 64 << 10
    /// Headers of one guess: as many as a partition table usually has room for. They are at most 1 MiB and a table.
    static let headersMax = 128

    /// What holds `needs` and what follows it at once: for the scanner that needs `needs`, as the only range.
    static func window(at needs: Range<UInt64>, fileBytes: UInt64) -> Range<UInt64> {
        needs.lowerBound..<max(needs.upperBound, min(needs.lowerBound + windowBytes, fileBytes))
    }

    /// The ranges to be read together, in ascending order and inside the file. The first holds `needs`, where the next entry
    /// begins; the others hold the headers behind it, up to the archive's end marker.
    ///
    /// - Parameters:
    ///   - needs: inside the file.
    ///   - entries: what was read so far, in file order.
    static func ranges(
        at needs: Range<UInt64>, behind entries: [TarEntry], of metadata: CosiMetadata, fileBytes: UInt64
    ) -> [Range<UInt64>] {
        // As the scanner has it; so no sum below overflows.
        let fileBytes = min(fileBytes, UInt64(Int64.max))
        var ranges = [window(at: needs, fileBytes: fileBytes)]
        let headerBytes = HeaderBytes(entries.filter { metadata.region(for: $0) != nil }, other: entries.last)
        var header = needs.lowerBound
        for region in missing(behind: entries, of: metadata).prefix(headersMax) {
            let size = region.image.compressedSizeBytes
            let data = header + headerBytes.expected(of: region.image)
            guard data < fileBytes, size < fileBytes - data else { break }
            let next = (data + size + 511) / 512 * 512
            if region.kind == .primaryGPT, size <= tableBytesMax { add(header..<min(next, fileBytes), to: &ranges) }
            guard next < fileBytes else { break }
            header = next
            add(header - min(marginBytes, header)..<min(header + windowBytes - marginBytes, fileBytes), to: &ranges)
        }
        return ranges
    }

    private static func add(_ range: Range<UInt64>, to ranges: inout [Range<UInt64>]) {
        let last = ranges[ranges.count - 1]
        if range.lowerBound <= last.upperBound + gapBytes {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
            ranges.append(range)
        }
    }

    /// The regions whose images have not been seen, in the order in which they are expected: as the metadata lists them, or by
    /// number where only that agrees with what was seen.
    private static func missing(behind entries: [TarEntry], of metadata: CosiMetadata) -> [CosiMetadata.Region] {
        let listed = metadata.disk.gptRegions
        let seen = entries.compactMap { metadata.region(for: $0)?.image.path }
        func agrees(_ order: [CosiMetadata.Region]) -> Bool { order.lazy.map(\.image.path).starts(with: seen) }
        let order: [CosiMetadata.Region]
        if agrees(listed) {
            order = listed
        } else {
            let numbered = listed.sorted { $0.kind.order < $1.kind.order }
            order = agrees(numbered) ? numbered : listed
        }
        let known = Set(seen)
        return order.filter { !known.contains($0.image.path) }
    }
}

/// How many bytes of headers an image is expected to have: as many as the last one had whose name fits a plain header as this
/// one's does, or does not.
private struct HeaderBytes {
    private let short: UInt64
    private let long: UInt64
    /// Longer names need a prefix field or an extended header.
    private static let nameFieldBytes = 100

    init(_ images: [TarEntry], other: TarEntry?) {
        func bytes(_ entry: TarEntry?) -> UInt64? { entry.map { $0.dataOffset - $0.headerOffset } }
        let any = bytes(images.last ?? other) ?? 512
        short = bytes(images.last { $0.nameBytes.count <= Self.nameFieldBytes }) ?? any
        long = bytes(images.last { $0.nameBytes.count > Self.nameFieldBytes }) ?? any
    }

    func expected(of image: CosiMetadata.ImageFile) -> UInt64 {
        image.path.utf8.count > Self.nameFieldBytes ? long : short
    }
}

extension CosiMetadata.Region.Kind {
    fileprivate var order: Int {
        switch self {
        case .primaryGPT: 0
        case .partition(let number): number
        }
    }
}
