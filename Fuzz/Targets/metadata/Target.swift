import CosiFormat

/// Bytes as `metadata.json`.
@c(LLVMFuzzerTestOneInput)
func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(FormatError) {
        let (metadata, warnings) = try CosiMetadata.parse(unsafe FuzzInput(data, count).bytes)
        require(metadata.disk.gptRegions.first?.kind == .primaryGPT, "no primary GPT")
        require(CosiMetadata.windowLogRange.contains(metadata.maxWindowLog), "a window of \(metadata.maxWindowLog)")
        require(metadata.disk.sizeBytes % UInt64(metadata.disk.lbaSize) == 0, "a broken block")
        for region in metadata.disk.gptRegions {
            let path = region.image.path
            require(path.hasPrefix("images/") && !path.split(separator: "/").contains(".."), "a path that climbs")
            require(region.image.uncompressedSizeBytes <= metadata.disk.sizeBytes, "an image larger than its disk")
        }
        for warning in warnings { require(warning.description.utf8.count < 10_000, "an endless warning") }
    } catch {
        require(error.description.utf8.count < 10_000, "an endless message")
    }
    return 0
}
