import CosiFormat

/// Bytes as the beginning of a tar, or of another kind of file; the scanner in one piece and header by header must agree.
///
/// With the first bit of the first byte set, the checksum of each block that could be a header is put right first: no
/// mutation would find it.
@c(LLVMFuzzerTestOneInput)
func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = unsafe FuzzInput(data, count)
    let isSealed = input.byte() & 1 == 1
    var bytes = input.bytes
    if isSealed { seal(&bytes) }
    var scanner = TarScanner()
    var entries: [TarEntry] = []
    var isRefused = false
    do throws(FormatError) {
        while let needs = scanner.needs, needs.upperBound <= UInt64(bytes.count) {
            require(!needs.isEmpty && needs.count <= TarScanner.extensionBytesMax, "needs \(needs)")
            if let entry = try scanner.feed(Array(bytes[Int(needs.lowerBound)..<Int(needs.upperBound)])) {
                require(entry.dataOffset % 512 == 0 && entry.dataOffset > entry.headerOffset, "an entry before its header")
                require(entry.dataOffset <= UInt64(Int64.max) - entry.sizeBytes, "an entry without an end")
                entries.append(entry)
            }
        }
        if scanner.needs != nil {
            let end = try? scanner.end(at: UInt64(bytes.count))
            let isBetween = scanner.needs.map { $0.lowerBound <= UInt64(bytes.count) } ?? true
            require(end == nil || isBetween, "an end inside an entry is taken for one between two")
        }
    } catch {
        isRefused = true
        require(error.description.utf8.count < 10_000, "an endless message")
    }
    var whole = TarScanner()
    let again = try? whole.feed(from: bytes)
    require((again == nil) == isRefused, "one piece and many disagree")
    require(again == nil || again?.count == entries.count, "one piece and many find different entries")
    _ = try? CosiLayout.metadataEntry(in: entries)
    _ = ForeignFormat(head: bytes, tail: Array(bytes.suffix(512)))
    return 0
}

/// Every 512 bytes that say "ustar" get the checksum they should have.
private func seal(_ bytes: inout [UInt8]) {
    for start in stride(from: 0, to: bytes.count - 511, by: 512)
    where bytes[start + 257..<start + 262].elementsEqual("ustar".utf8) {
        bytes.replaceSubrange(start + 148..<start + 156, with: [UInt8](repeating: 32, count: 8))
        let sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
        let octal = Array(String(sum, radix: 8).utf8)
        bytes.replaceSubrange(start + 148..<start + 148 + octal.count, with: octal)
    }
}
