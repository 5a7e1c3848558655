import CosiFormat

extension ImageContents {
    /// Fetches and checks the content indexes of images, by the numbers of their partitions. An image without one is left out,
    /// as is every image of a source that allows one pass only.
    ///
    /// Blocks like `ByteSource.read`.
    ///
    /// - Parameters:
    ///   - numbers: of the partitions whose images matter; nil: all.
    ///   - isOptional: an index that does not fit into memory is left out, too, instead of an error.
    func contentIndexes(
        of numbers: Set<Int>?, from source: any ByteSource, limits: MemoryLimits, isOptional: Bool, observer: SourceObserver
    ) throws(StreamFault) -> [Int: ContentIndex] {
        guard pending == nil, !isSequential else { return [:] }
        var indexes: [Int: ContentIndex] = [:]
        var bytesSoFar: UInt64 = 0
        for region in partitionRegions {
            guard let place = region.contentIndex, case .partition(let number) = region.kind, numbers?.contains(number) ?? true,
                let image = images.first(where: { $0.number == number })
            else { continue }
            do throws(StreamFault) {
                // As bytes, whose array may grow by doubling, and parsed; those before only parsed.
                try limits.expectRoom(for: MemoryNeed(bytes: 4 * place.sizeBytes + bytesSoFar))
            } catch {
                if isOptional { continue }
                throw error
            }
            let start = image.fileOffset + place.offset
            let collector = CollectingSink(bytesMax: Int(place.sizeBytes))
            do throws(SourceError) {
                try source.read(start..<start + place.sizeBytes, into: collector, observer: observer)
            } catch {
                throw StreamFault(error)
            }
            let digest = MessageDigest.digest(of: collector.bytes, .sha384)
            guard digest == place.sha384 else {
                throw .image(
                    .dataHash, "content index of '\(image.path)'",
                    "its SHA-384 is \(digest.hexadecimal), its metadata says \(place.sha384.hexadecimal)")
            }
            indexes[number] = try valid { () throws(FormatError) in
                try ContentIndex(collector.bytes, of: region.image, at: place)
            }
            bytesSoFar += place.sizeBytes
        }
        return indexes
    }
}
