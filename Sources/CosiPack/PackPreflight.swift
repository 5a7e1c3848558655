import CosiFormat
import StreamDisk

/// All that comes before an image is written: the source is opened, its partitions are examined, its system's facts are found, and
/// what was asked for is checked against them.
struct PackPreflight {
    /// A copy that lives as long as the run.
    private final class Shrunk {
        let copy: ShrunkCopy
        init(_ copy: consuming ShrunkCopy) { self.copy = copy }
    }

    let source: PackSource
    let contents: PackContents
    private var shrunk: [Shrunk] = []

    init(
        _ request: PackRequest, output: String?, _ cancellation: Cancellation, _ onEvent: (PackEvent) -> Void
    ) throws(PackFault) {
        source = try PackSource(
            request.source, blockBytes: request.blockBytes, copyFolder: request.temporaryFolder, cancellation: cancellation,
            onNote: { onEvent(.note($0)) })
        if let output, source.isSame(as: output) { throw .image(.notAFile(path: output)) }
        for warning in source.warnings { onEvent(.warning(warning)) }
        let entries = source.gpt.partitions.sorted { $0.offsetBytes < $1.offsetBytes }
        try Self.expectNumbers(request, entries)
        var examined: [(entry: GPTPartition, found: Examination)] = []
        for entry in entries {
            if cancellation.isCancelled { throw .image(.cancelled) }
            let found = examine(
                descriptor: source.descriptor, offsetBytes: entry.offsetBytes, sizeBytes: entry.sizeBytes,
                options: request.examine)
            if request.takes(entry.number) {
                for warning in found.warnings { onEvent(.warning("partition \(entry.number) '\(entry.name)': \(warning)")) }
            }
            examined.append((entry, found))
        }
        let facts = findSystemFacts(
            descriptor: source.descriptor,
            partitions: examined.map { entry, found in
                SystemPartition(
                    number: entry.number, offsetBytes: entry.offsetBytes, sizeBytes: entry.sizeBytes, type: entry.typeGUID,
                    uniqueID: entry.uniqueGUID, name: entry.name, signature: found.signature)
            }, root: request.overrides.filesystems.first { $0.value.mountPoint == "/" }?.key)
        for warning in facts.warnings { onEvent(.warning(warning)) }
        if cancellation.isCancelled { throw .image(.cancelled) }
        let metadata = PackMetadata(facts: facts, overrides: request.overrides)
        let system = try metadata.system { onEvent(.warning($0)) }
        var partitions: [PackContents.Partition] = []
        for (entry, found) in examined {
            var content = request.takes(entry.number) ? found.content : nil
            if request.shrinks, content != nil, found.signature?.type.hasPrefix("ext") == true {
                onEvent(.note("shrinking partition \(entry.number) '\(entry.name)' on a copy in \(request.temporaryFolder)"))
                if let copy = try Self.shrunk(found, request, cancellation) {
                    shrunk.append(copy)
                    content = copy.copy.content
                } else {
                    onEvent(.warning("partition \(entry.number) '\(entry.name)' is not shrunk: it was not unmounted cleanly"))
                }
            }
            partitions.append(
                PackContents.Partition(
                    entry: entry, signature: found.signature, content: content,
                    filesystem: content == nil ? nil : metadata.filesystem(entry.number, found.signature)))
        }
        try metadata.check(partitions) { onEvent(.warning($0)) }
        contents = PackContents(
            source: request.source, diskBytes: source.sizeBytes, blockBytes: source.blockBytes, diskGUID: source.gpt.diskGUID,
            virtualFormat: source.virtualFormat, partitions: partitions, system: system)
    }

    private static func shrunk(
        _ found: Examination, _ request: PackRequest, _ cancellation: Cancellation
    ) throws(PackFault) -> Shrunk? {
        do throws(ShrinkFailure) {
            return Shrunk(try shrink(found, folder: request.temporaryFolder, cancellation: cancellation))
        } catch {
            switch error {
            case .tool(let program, let reason): throw .tool(program, reason: reason)
            case .host(let operation, let cause):
                throw .image(.write(path: request.temporaryFolder, operation: operation, cause: cause))
            case .unsuitable: return nil
            case .cancelled: throw .image(.cancelled)
            }
        }
    }

    /// Numbers of partitions that the disk does not have are mistakes.
    private static func expectNumbers(_ request: PackRequest, _ entries: [GPTPartition]) throws(PackFault) {
        let asked = request.without.union(request.only ?? []).union(request.overrides.filesystems.keys)
        let numbers = Set(entries.map(\.number))
        guard let unknown = asked.subtracting(numbers).min() else { return }
        let list = numbers.sorted().map(String.init).joined(separator: ", ")
        throw .request("\(request.source): there is no partition \(unknown); there is \(list.isEmpty ? "none" : list)")
    }

    /// For `writeCosi`. The images are named by the disk alone, so that the output's name does not change the image.
    var input: PackInput {
        let packed = contents.partitions.compactMap { partition in
            partition.content.map { content in
                PackInput.Partition(
                    number: partition.entry.number, imagePath: "images/disk_\(partition.entry.number).raw.zst", content: content,
                    sourcePath: contents.source, filesystem: partition.filesystem)
            }
        }
        return PackInput(
            table: source.table, blockBytes: source.blockBytes, diskBytes: source.sizeBytes, tablePath: "images/disk_gpt.raw.zst",
            partitions: packed, system: contents.system)
    }
}

extension PackRequest {
    func takes(_ number: Int) -> Bool { !without.contains(number) && only?.contains(number) != false }
}
