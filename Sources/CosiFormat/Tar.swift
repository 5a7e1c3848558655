/// One member of a tar archive.
package struct TarEntry: Sendable, Equatable {
    /// The name as recorded, without a leading `./`. It may not be UTF-8: compare this, not ``name``.
    package let nameBytes: [UInt8]
    /// Whether a leading `./` was removed.
    package let nameHadDotSlash: Bool
    /// False for directories, links, devices, sparse files and anything unknown.
    package let isRegularFile: Bool
    /// Where the entry begins in the file: its first header block, including extension headers.
    package let headerOffset: UInt64
    /// Where its data begins in the file, a multiple of 512.
    package let dataOffset: UInt64
    /// Size of the data in bytes. `dataOffset + sizeBytes` is at most `Int64.max`.
    package let sizeBytes: UInt64

    /// The name for display: bytes that are not UTF-8 are replaced.
    package var name: String { String(decoding: nameBytes, as: UTF8.self) }

    /// Compares byte for byte. `String`'s `==` treats canonically equivalent text as equal.
    package func isNamed(_ name: String) -> Bool { nameBytes.elementsEqual(name.utf8) }

    var place: String { "tar entry \(quoted(name))" }
}

/// The end of an archive that has no end marker.
package struct UnmarkedTarEnd: Sendable, Equatable {
    /// Nil if the archive had already ended.
    package let warning: FormatWarning?
    /// What is wrong if an entry is missing: the file was cut off inside a header.
    package let truncation: FormatError?
}

/// Reads the headers of a tar archive (v7, USTAR, GNU, PAX) one part at a time. The caller fetches the bytes: with random access
/// it seeks past the data, in a stream it skips it.
///
///     while let range = scanner.needs { if let entry = try scanner.feed(read(range)) { … } }
///
/// The first zero block ends the archive; nothing after it is requested. After an error the scanner must not be fed again.
package struct TarScanner: Sendable {
    /// The maximum size of a PAX or GNU long-name payload; real ones are a few hundred bytes.
    package static let extensionBytesMax = 64 << 10
    /// The maximum number of entries: a COSI file has a few more than its disk has partitions.
    package static let entryCountMax = 4096
    /// The maximum length of a name (Linux's PATH_MAX).
    package static let nameBytesMax = 4096
    /// The maximum number of extension headers before an entry; real archives have at most a global, a PAX and two GNU ones.
    private static let extensionHeaderCountMax = 16

    private enum Wanted {
        case header
        case payload(of: Extension, sizeBytes: UInt64)
        case nothing
    }

    private enum Extension {
        case pax, paxGlobal, gnuName, gnuLink
    }

    private var wanted = Wanted.header
    /// The absolute offset of the bytes needed next.
    private var offset: UInt64 = 0
    private var entryCount = 0
    private var global = PaxRecords()

    // What the extension headers say about the next entry.
    private var entryOffset: UInt64?
    private var extensionHeaderCount = 0
    private var local = PaxRecords()
    private var gnuName: [UInt8]?

    /// The offset of the end-of-archive marker, once found.
    package private(set) var endMarkerOffset: UInt64?

    /// Starts at the file's first byte.
    package init() {}

    /// The next bytes the scanner needs, as absolute file offsets: a header block of 512 bytes, or an extension payload of 1 to
    /// 65,536 bytes. Nil once the archive has ended.
    package var needs: Range<UInt64>? {
        switch wanted {
        case .header: offset..<(offset + UInt64(TarHeader.blockBytes))
        case .payload(_, let sizeBytes): offset..<(offset + sizeBytes)
        case .nothing: nil
        }
    }

    /// Takes exactly the bytes of ``needs``; fewer mean a truncated file. Returns an entry when one is complete; `needs` is then
    /// the header after its data.
    package mutating func feed(_ bytes: [UInt8]) throws(FormatError) -> TarEntry? {
        guard let needs else {
            throw FormatError(.tar, place: "tar archive", problem: "has ended and takes no more bytes")
        }
        guard bytes.count == Int(needs.upperBound - needs.lowerBound) else {
            throw truncated(needs, at: needs.lowerBound + UInt64(bytes.count))
        }
        switch wanted {
        case .header: return try takeHeader(bytes)
        case .payload(let kind, _):
            try takePayload(bytes, of: kind)
            return nil
        case .nothing: return nil
        }
    }

    /// Feeds every header in `bytes`, which begin at file offset `start`, and returns the entries found. Afterwards ``needs`` is
    /// the first range that is not entirely inside.
    package mutating func feed(from bytes: [UInt8], startingAt start: UInt64 = 0) throws(FormatError) -> [TarEntry] {
        var entries: [TarEntry] = []
        while let needs, needs.lowerBound >= start, needs.upperBound - start <= UInt64(bytes.count) {
            let range = Int(needs.lowerBound - start)..<Int(needs.upperBound - start)
            if let entry = try feed(Array(bytes[range])) { entries.append(entry) }
        }
        return entries
    }

    /// Call this if the file ends at `offset` while the scanner still ``needs`` bytes beyond it.
    ///
    /// Between two entries an archive may end without its end marker, even with less than a block after the last entry; tar
    /// tolerates both. Throws if the file ends inside an entry.
    package func end(at offset: UInt64) throws(FormatError) -> UnmarkedTarEnd {
        guard let needs else { return UnmarkedTarEnd(warning: nil, truncation: nil) }
        let truncation = truncated(needs, at: offset)
        guard case .header = wanted, entryOffset == nil, needs.lowerBound <= offset else { throw truncation }
        let leftover = offset - needs.lowerBound
        let message =
            "ends without the two zero blocks that end a tar"
            + (leftover > 0 ? ", with \(leftover) bytes that are no header" : "")
        return UnmarkedTarEnd(
            warning: FormatWarning(place: "tar archive", message: message), truncation: leftover > 0 ? truncation : nil)
    }

    private func truncated(_ needs: Range<UInt64>, at endOffset: UInt64) -> FormatError {
        FormatError(
            .truncated, place: "tar archive",
            problem: "is truncated: it ends at byte \(endOffset), but the header at byte \(needs.lowerBound) "
                + "needs it to reach byte \(needs.upperBound)")
    }

    private mutating func takeHeader(_ block: [UInt8]) throws(FormatError) -> TarEntry? {
        let place = "tar header at byte \(offset)"
        guard block.contains(where: { $0 != 0 }) else {
            guard entryOffset == nil else {
                throw FormatError(
                    .tar, place: place, problem: "ends the archive where an extended header's entry must follow")
            }
            endMarkerOffset = offset
            wanted = .nothing
            return nil
        }
        let header = try TarHeader(block, place: place)
        let kind: Extension? =
            switch header.typeFlag {
            case UInt8(ascii: "x"): .pax
            case UInt8(ascii: "g"): .paxGlobal
            case UInt8(ascii: "L"): .gnuName
            case UInt8(ascii: "K"): .gnuLink
            default: nil
            }
        if let kind {
            try expectPayload(of: kind, sizeBytes: header.sizeBytes, place: place)
            return nil
        }
        return try makeEntry(header, place: place)
    }

    private mutating func expectPayload(
        of kind: Extension, sizeBytes: UInt64, place: String
    ) throws(FormatError) {
        guard sizeBytes <= UInt64(Self.extensionBytesMax) else {
            throw FormatError(
                .tar, place: place,
                problem: "has an extended header of \(sizeBytes) bytes, more than \(Self.extensionBytesMax)")
        }
        extensionHeaderCount += 1
        guard extensionHeaderCount <= Self.extensionHeaderCountMax else {
            throw FormatError(
                .tar, place: place, problem: "is one of more than \(Self.extensionHeaderCountMax) extended headers in a row")
        }
        // A global header stands alone, so an archive may end after one.
        if kind != .paxGlobal, entryOffset == nil { entryOffset = offset }
        let start = try sum(offset, UInt64(TarHeader.blockBytes), place: place)
        _ = try paddedEnd(of: sizeBytes, at: start, place: place)
        offset = start
        wanted = .payload(of: kind, sizeBytes: sizeBytes)
        if sizeBytes == 0 { try takePayload([], of: kind) }
    }

    private mutating func takePayload(_ payload: [UInt8], of kind: Extension) throws(FormatError) {
        let place = "tar extended header at byte \(offset)"
        switch kind {
        case .pax: local.merge(try PaxRecords(payload, place: place))
        case .paxGlobal: global.merge(try PaxRecords(payload, place: place))
        case .gnuName: gnuName = Array(payload.prefix { $0 != 0 })
        case .gnuLink: break
        }
        offset = try paddedEnd(of: UInt64(payload.count), at: offset, place: place)
        wanted = .header
    }

    private mutating func makeEntry(_ header: TarHeader, place: String) throws(FormatError) -> TarEntry {
        entryCount += 1
        guard entryCount <= Self.entryCountMax else {
            throw FormatError(.tar, place: "tar archive", problem: "has more than \(Self.entryCountMax) entries")
        }
        var pax = global
        pax.merge(local)
        let recorded = pax.path.value ?? gnuName ?? header.nameBytes
        guard recorded.count <= Self.nameBytesMax else {
            throw FormatError(
                .tar, place: place, problem: "has a name of \(recorded.count) bytes, more than \(Self.nameBytesMax)")
        }
        let hadDotSlash = recorded.starts(with: "./".utf8)

        // Links, devices, directories and FIFOs have no data, whatever their size field says, as in Go's archive/tar and Python's
        // tarfile. Unknown types have data, as POSIX requires.
        let hasData = !(UInt8(ascii: "1")...UInt8(ascii: "6") ~= header.typeFlag)
        let sizeBytes = hasData ? pax.sizeBytes.value ?? header.sizeBytes : 0
        // Before USTAR, a name ending in a slash meant a directory. '7' is "contiguous": read as a regular file.
        let isRegular =
            [0, UInt8(ascii: "0"), UInt8(ascii: "7")].contains(header.typeFlag)
            && recorded.last != UInt8(ascii: "/") && !pax.isSparse

        let dataOffset = try sum(offset, UInt64(TarHeader.blockBytes), place: place)
        let entry = TarEntry(
            nameBytes: hadDotSlash ? Array(recorded.dropFirst(2)) : recorded,
            nameHadDotSlash: hadDotSlash,
            isRegularFile: isRegular,
            headerOffset: entryOffset ?? offset,
            dataOffset: dataOffset,
            sizeBytes: sizeBytes)
        offset = try paddedEnd(of: sizeBytes, at: dataOffset, place: place)
        entryOffset = nil
        extensionHeaderCount = 0
        local = PaxRecords()
        gnuName = nil
        return entry
    }

    /// The offset after `sizeBytes` of data at `start` and its padding. Leaves room for one more header below
    /// `Int64.max`, so that ``needs`` cannot overflow.
    private func paddedEnd(of sizeBytes: UInt64, at start: UInt64, place: String) throws(FormatError) -> UInt64 {
        let block = UInt64(TarHeader.blockBytes)
        let end = try sum(start, sizeBytes, place: place)
        let padded = try sum(end, (block - end % block) % block, place: place)
        _ = try sum(padded, block, place: place)
        return padded
    }

    private func sum(_ a: UInt64, _ b: UInt64, place: String) throws(FormatError) -> UInt64 {
        let (value, overflow) = a.addingReportingOverflow(b)
        guard !overflow, value <= Int64.max else {
            throw FormatError(.tar, place: place, problem: "states a size that reaches beyond 2^63 - 1")
        }
        return value
    }
}
