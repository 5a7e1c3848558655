import CosiFormat
import Glibc

/// The result of all checks before the first write: the image, the disk, and what goes where. Writes nothing.
struct Preflight: ~Copyable {
    let contents: ImageContents
    let target: TargetDisk
    let placement: GPT.Placement
    let areas: WriteAreas
    /// What the user should know before approving the plan.
    let notes: [StreamWarning]

    /// Reads and checks the image, selects and opens the disk.
    init(
        _ source: any ByteSource, onto target: StreamTarget, access: TargetDisk.Access, _ options: StreamOptions,
        _ reporter: ProgressReporter
    ) throws(StreamFault) {
        let mayBeForeign = access == .compare ? nil : target.isNamed
        let (contents, notes) = try Self.readImage(source, mayBeForeign: mayBeForeign, options, reporter)
        // Comparing a disk with itself does no harm.
        let opened = try Self.open(target, for: contents, access, source: access == .compare ? nil : source.localOrigin)
        let placement = try valid { () throws(FormatError) in
            try contents.gpt.placement(onDeviceOf: opened.sizeBytes)
        }
        areas = WriteAreas(
            contents, tables: placement, diskBytes: opened.sizeBytes, blockBytes: opened.blockBytes)
        self.notes = notes + opened.notes.map { .disk($0) }
        self.placement = placement
        self.contents = contents
        self.target = opened
    }

    /// Reads and checks the image, and returns its warnings.
    ///
    /// - Parameter mayBeForeign: whether an image for another architecture is a warning only; false refuses it, as for an
    ///   automatically selected disk. Nil ignores the architecture.
    static func readImage(
        _ source: any ByteSource, mayBeForeign: Bool?, _ options: StreamOptions, _ reporter: ProgressReporter
    ) throws(StreamFault) -> (ImageContents, [StreamWarning]) {
        let contents = try BackgroundInspection(reporter.transfer).inspect(
            source, hash: options.hash, memoryLimitBytes: options.memoryLimitBytes, onEvent: reporter.tell)
        var notes: [StreamWarning] = []
        let (image, host) = (contents.metadata.osArch, hostArchitecture())
        if let mayBeForeign, host != image {
            guard mayBeForeign else { throw .architecture(image: image, host: host) }
            notes.append(.architecture(image: image, host: host))
        }
        // Without TLS, only the hash shows whether someone on the network's path has changed the image.
        if source.isUnprotected, options.hash == .ignored { notes.append(.hashNotGiven) }
        return (contents, notes)
    }

    private static func open(
        _ target: StreamTarget, for contents: ImageContents, _ access: TargetDisk.Access, source: LocalOrigin?
    ) throws(StreamFault) -> TargetDisk {
        let requirement = contents.requirement
        do throws(DiskSelectionError) {
            return switch target {
            case .smallestDisk(let hints):
                try TargetDisk.openSmallest(matching: hints, requirement: requirement, access: access, source: source)
            case .path(let path): try TargetDisk.open(path: path, requirement: requirement, access: access, source: source)
            }
        } catch {
            throw .disk(error)
        }
    }

    /// Throws if the limit on file sizes (RLIMIT_FSIZE) is below the target's size, while the old table is still there.
    func expectFileSizeAllowed() throws(StreamFault) {
        if target.info == nil { try Self.expectFileSizeAllowed(target.sizeBytes, at: target.path) }
    }

    /// Throws if a regular file may not have this size.
    static func expectFileSizeAllowed(_ sizeBytes: UInt64, at path: String) throws(StreamFault) {
        guard let limit = softLimit(RLIMIT_FSIZE), limit < sizeBytes else { return }
        throw .device(
            DiskIOError(
                .write, path: path, offset: limit, lengthBytes: Int(sizeBytes - limit), cause: SystemError(EFBIG)))
    }

    /// Closes the disk. Throws errors of earlier writes that the kernel reports only now.
    consuming func close() throws(StreamFault) {
        do throws(DiskIOError) { try target.close() } catch { throw .device(error) }
    }

    var geometry: DiskGeometry {
        DiskGeometry(path: target.path, sizeBytes: target.sizeBytes, blockBytes: target.blockBytes)
    }

    func jobs(from source: any ByteSource, _ reuse: ReusePlan, engine: WriteEngine) -> any JobFeed {
        if let pending = contents.pending {
            SequentialJobs(pending, source: source, fileSizeBytes: contents.fileSizeBytes)
        } else {
            reuse.jobs(contents.images.map { ImageJob($0) }, onto: geometry, [target.fileDescriptor], engine: engine)
        }
    }
}
