/// Determines which partition each region's `number` means.
///
/// The format defines it as the GPT entry's number. One producer (Trident's mkcosi) counts the partitions instead, so that with
/// gaps in the table, or entries not in disk order, a number names the wrong partition. Three things give that away: a number
/// without an entry, an image larger than its partition, and a filesystem whose `partType` differs from the entry's type. If
/// the numbers make sense as counts then, the image is refused with an error that says so. If both readings make sense, the
/// format's applies, and a table with gaps gives a warning.
struct RegionNumbers {
    private struct Use {
        let number: Int
        let image: CosiMetadata.ImageFile
        let type: GUID?

        func fits(_ partition: GPTPartition) -> Bool {
            image.uncompressedSizeBytes <= partition.sizeBytes && type ?? partition.typeGUID == partition.typeGUID
        }
    }

    private let uses: [Use]
    private let partitions: [GPTPartition]
    private let byNumber: [Int: GPTPartition]

    init(_ metadata: CosiMetadata, _ gpt: GPT) {
        uses = metadata.disk.gptRegions.compactMap { region in
            guard case .partition(let number) = region.kind else { return nil }
            return Use(
                number: number, image: region.image, type: metadata.filesystem(at: region.image)?.partitionType)
        }
        partitions = gpt.partitions
        byNumber = Dictionary(uniqueKeysWithValues: gpt.partitions.map { ($0.number, $0) })
    }

    /// Checks that every region has an entry that is large enough for its image.
    func check() throws(FormatError) -> [FormatWarning] {
        var warnings: [FormatWarning] = []
        for use in uses {
            let place = "metadata.json: region \(quoted(use.image.path))"
            guard let partition = byNumber[use.number] else {
                if uses.allSatisfy({ $0.number <= partitions.count }) {
                    throw counted("there is no GPT entry \(use.number)")
                }
                throw FormatError(
                    .layout, place: place, problem: "is for partition \(use.number), which the GPT does not have")
            }
            guard use.image.uncompressedSizeBytes <= partition.sizeBytes else {
                let problem =
                    "has uncompressedSize \(use.image.uncompressedSizeBytes), more than the \(partition.sizeBytes) "
                    + "bytes of partition \(use.number)"
                if fitsWhenCounted() { throw counted("\(quoted(use.image.path)) \(problem)") }
                throw FormatError(.layout, place: place, problem: problem)
            }
            guard !use.fits(partition), let type = use.type else { continue }
            let message = "has partType \(type), the GPT \(partition.typeGUID)"
            if fitsWhenCounted() { throw counted("\(quoted(use.image.path)) \(message)") }
            warnings.append(
                FormatWarning(place: "metadata.json: filesystem \(quoted(use.image.path))", message: message))
        }
        if warnings.isEmpty, fits(countedIn: partitions) {
            warnings.append(
                FormatWarning(
                    place: "metadata.json: disk.gptRegions",
                    message: "has numbers that would fit other partitions too, counted by their place; they are taken "
                        + "for the numbers of the GPT's entries, as the format says"))
        }
        return warnings
    }

    /// Counted in the order of the table or of the disk.
    private func fitsWhenCounted() -> Bool {
        fits(countedIn: partitions) || fits(countedIn: partitions.sorted { $0.firstLBA < $1.firstLBA })
    }

    /// Whether counting in this order names at least one other partition, and every image suits the one it gets.
    private func fits(countedIn order: [GPTPartition]) -> Bool {
        uses.contains { $0.number <= order.count && order[$0.number - 1].number != $0.number }
            && uses.allSatisfy { $0.number <= order.count && $0.fits(order[$0.number - 1]) }
    }

    private func counted(_ sign: String) -> FormatError {
        let numbers = partitions.prefix(16).map { "\($0.number)" }.joined(separator: ", ")
        return FormatError(
            .layout, place: "metadata.json: disk.gptRegions",
            problem: "has numbers that count partitions by place, not by GPT entry: \(sign); the GPT's entries are "
                + numbers + (partitions.count > 16 ? ", …" : "")
                + "; make the image anew with the numbers of the entries")
    }
}
