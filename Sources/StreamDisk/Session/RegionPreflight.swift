import CosiFormat
import Glibc

/// The state of a region session before its first write: the image, and the opened target of each partition. Writes nothing.
struct RegionPreflight {
    let contents: ImageContents
    let targets: [OpenRegion]
    /// What the user should know before approving.
    let notes: [StreamWarning]
    let geometry: DiskGeometry

    /// Reads and checks the image, finds the partitions, and opens all targets.
    init(
        _ source: any ByteSource, onto regions: [RegionTarget], access: TargetDisk.Access, _ options: StreamOptions,
        _ reporter: ProgressReporter
    ) throws(StreamFault) {
        let (contents, imageNotes) = try Preflight.readImage(source, mayBeForeign: true, options, reporter)
        let rows: [ImageContents.Row]
        do throws(PartitionError) {
            guard !regions.isEmpty else { throw PartitionError(.notFound, reference: "", partitions: []) }
            rows = try contents.rows(regions.map(\.partition))
        } catch {
            throw .partition(error)
        }
        var notes = imageNotes
        var targets: [OpenRegion] = []
        do throws(DiskSelectionError) {
            try Self.expectApart(regions)
            for (row, region) in zip(rows, regions) {
                let target = try OpenRegion(
                    row, path: region.path, blockBytes: contents.metadata.disk.lbaSize, access, source: source.localOrigin,
                    heldByRun: targets.flatMap(\.otherPaths))
                notes += target.notes.map { .disk("\(region.path): \($0)") }
                targets.append(target)
            }
        } catch {
            throw .disk(error)
        }
        geometry = DiskGeometry(
            targets: targets.map { ($0.target.path, $0.writtenBytes) }, blockBytes: contents.metadata.disk.lbaSize)
        self.contents = contents
        self.targets = targets
        self.notes = notes
    }

    /// Throws if two targets share bytes, under whatever names. A missing target is detected later, when it is opened.
    private static func expectApart(_ regions: [RegionTarget]) throws(DiskSelectionError) {
        let hosts = HostDisks()
        var seen: [(path: String, status: stat)] = []
        for region in regions {
            var status = stat()
            guard !region.path.utf8.contains(0), unsafe stat(region.path, &status) == 0 else { continue }
            if let other = seen.first(where: { hosts.share($0.status, status) }) {
                throw DiskSelectionError(
                    .inUse, path: region.path,
                    reason:
                        "it shares bytes with \(other.path), which another partition's image goes onto; name a target for each")
            }
            seen.append((region.path, status))
        }
    }

    /// All addresses that are to be written, each once.
    var written: ExtentAccount {
        var account = ExtentAccount()
        for target in geometry.targets where !target.addresses.isEmpty {
            precondition(account.add(target.addresses) == nil, "targets overlap")
        }
        return account
    }

    var decodedBytes: UInt64 { targets.reduce(0) { $0 + $1.image.uncompressedSizeBytes } }

    func jobs(from source: any ByteSource, _ reuse: ReusePlan, engine: WriteEngine) -> any JobFeed {
        let places = Dictionary(
            uniqueKeysWithValues: zip(targets, geometry.targets).map { ($0.row.partition.number, $1.addresses.lowerBound) })
        if let pending = contents.pending {
            return SequentialJobs(pending, source: source, fileSizeBytes: contents.fileSizeBytes, places: places)
        }
        return reuse.jobs(
            contents.images.compactMap { image in places[image.number].map { ImageJob(image, deviceOffset: $0) } },
            onto: geometry, targets.map(\.fileDescriptor), engine: engine)
    }

    /// Throws if the limit on file sizes (RLIMIT_FSIZE) does not allow one of the targets to be written.
    func expectFileSizeAllowed() throws(StreamFault) {
        for target in targets where target.target.info == nil {
            try Preflight.expectFileSizeAllowed(target.writtenBytes, at: target.target.path)
        }
    }

    func expectWhole() throws(StreamFault) {
        for target in targets { try target.expectWhole() }
    }

    func close() throws(StreamFault) {
        for target in targets { try target.close() }
    }

    var dropCache: @Sendable () -> Void {
        let drops = targets.map(\.dropCache)
        return { for drop in drops { drop() } }
    }
}

/// A partition of the image and its target, which stays open and locked while this lives.
///
/// Used only by the session's thread.
final class OpenRegion {
    let row: ImageContents.Row
    let image: CosiMetadata.ImageFile
    /// The image's size, rounded up to whole blocks.
    let writtenBytes: UInt64
    let target: StreamPlan.Target
    let fileDescriptor: Int32
    let notes: [String]
    let dropCache: @Sendable () -> Void
    let otherPaths: [HeldPath]
    private var disk: TargetDisk?

    init(
        _ row: ImageContents.Row, path: String, blockBytes: Int, _ access: TargetDisk.Access, source: LocalOrigin?,
        heldByRun: [HeldPath]
    ) throws(DiskSelectionError) {
        guard let image = row.region?.image else { preconditionFailure("checked with the references") }
        let block = UInt64(blockBytes)
        writtenBytes = (image.uncompressedSizeBytes + block - 1) / block * block
        let disk = try TargetDisk.openRegion(
            path: path, requirement: DiskRequirement(sizeBytes: writtenBytes, blockBytes: blockBytes), access: access,
            source: source, heldByRun: heldByRun)
        target = StreamPlan.Target(disk)
        notes = disk.notes + (target.overwrittenTable.map { ["it has \($0), which is overwritten"] } ?? [])
        (fileDescriptor, dropCache, otherPaths) = (disk.fileDescriptor, disk.dropCache, disk.otherPaths)
        self.row = row
        self.image = image
        self.disk = consume disk
    }

    func expectWhole() throws(StreamFault) {
        do throws(DiskIOError) { try disk?.expectWhole() } catch { throw .device(error) }
    }

    /// Closes the target. Throws errors of earlier writes that the kernel reports only now.
    func close() throws(StreamFault) {
        guard let disk = disk.take() else { return }
        do throws(DiskIOError) { try disk.close() } catch { throw .device(error) }
    }
}
