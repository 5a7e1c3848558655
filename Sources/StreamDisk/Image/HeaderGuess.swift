import CosiFormat

/// Predicts where the next tar headers are, if the images named in the metadata follow in a known order, each with as many
/// header blocks as those before it.
///
/// A prediction only: the scanner reads what is there and detects errors. A wrong one costs the bytes that were read.
enum HeaderGuess {
    /// Bytes to read per header, enough for extended headers and for a few blocks more or fewer than expected before it.
    private static let windowBytes: UInt64 = 4096
    /// How much of that lies before the expected offset of the header.
    private static let marginBytes: UInt64 = 1024
    /// A smaller gap between two windows is read, too: that costs less than another request.
    private static let gapBytes: UInt64 = 4096
    /// A small partition table image is read together with its header.
    private static let tableBytesMax: UInt64 = 64 << 10
    /// Maximum number of headers per prediction, as many as a partition table usually has entries. They are 1 MiB at most, plus
    /// a table.
    static let headersMax = 128

    /// A single range that contains `needs` and what follows directly, for the scanner.
    static func window(at needs: Range<UInt64>, fileBytes: UInt64) -> Range<UInt64> {
        needs.lowerBound..<max(needs.upperBound, min(needs.lowerBound + windowBytes, fileBytes))
    }

    /// The ranges to read together, ascending and inside the file. The first contains `needs`, where the next entry begins; the
    /// others contain the later headers, up to the archive's end marker.
    ///
    /// - Parameters:
    ///   - needs: inside the file.
    ///   - entries: the entries read so far, in file order.
    static func ranges(
        at needs: Range<UInt64>, behind entries: [TarEntry], of metadata: CosiMetadata, fileBytes: UInt64
    ) -> [Range<UInt64>] {
        // The scanner uses the same bound, so no sum below overflows.
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

    /// The regions whose images have not been found, in the order expected: that of the metadata, or by number if only that
    /// agrees with the images found so far.
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

/// The expected number of header bytes of an image: that of the last image whose name, like this one's, fits a plain header, or
/// does not.
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
