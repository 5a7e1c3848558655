import CLinux
import Glibc
package import StreamDisk

/// A copy of an ext file system, made as small as its files allow.
package struct ShrunkCopy: ~Copyable, Sendable {
    /// A file without a name, which goes with this value.
    package let file: Descriptor
    /// What the image is made of. It has the descriptor of `file`.
    package let content: PartitionContent
    /// What the copy took in the temporary folder at most.
    package let temporaryBytes: UInt64
}

/// Why there is no shrunk copy. The source is as it was.
package enum ShrinkFailure: Error, Sendable, CustomStringConvertible {
    /// A program is missing, failed, or took too long.
    case tool(String, reason: String)
    /// A call of this host failed on the copy or while reading the source.
    case host(operation: String, SystemError)
    /// The partition has no ext file system whose map is known.
    case unsuitable
    case cancelled

    package var description: String {
        switch self {
        case .tool(let program, let reason): "\(program): \(reason)"
        case .host(let operation, let error): "cannot \(operation): \(error)"
        case .unsuitable: "it is no ext file system that was unmounted cleanly"
        case .cancelled: "interrupted"
        }
    }
}

/// Shrinks an ext file system on a copy: the used bytes go to a sparse file without a name in `folder`, then e2fsck(8) and
/// resize2fs(8) work on it. Blocks; takes as much room in `folder` as the file system has in use. Bytes that lie behind the file
/// system in its partition are not in the result.
///
/// - Parameter examination: of a partition that holds ext2, ext3 or ext4.
package func shrink(
    _ examination: Examination, folder: String, cancellation: Cancellation = Cancellation()
) throws(ShrinkFailure) -> ShrunkCopy {
    guard examination.signature?.type.hasPrefix("ext") == true, examination.warnings.isEmpty, let source = examination.content
    else {
        throw .unsuitable
    }
    let file: Descriptor
    let copied: UInt64
    do throws(SystemError) {
        file = try Descriptor(opening: folder, cl_O_TMPFILE | O_RDWR, mode: 0o600)
    } catch {
        throw .host(operation: "make a temporary file in \(folder)", error)
    }
    copied = try copyData(of: source, to: file.number, cancellation)
    // 1: errors were corrected. Whoever resizes wants the check.
    try runShrinkTool("e2fsck", ["-f", "-p"], codes: 0...1, file.number, cancellation)
    try runShrinkTool("resize2fs", ["-M"], codes: 0...0, file.number, cancellation)
    var status = stat()
    guard unsafe fstat(file.number, &status) == 0 else {
        throw .host(operation: "look at the temporary copy", SystemError(errno))
    }
    let layout: ExtLayout
    do throws(MapFailure) {
        layout = try ExtLayout(PartitionReader(descriptor: file.number, offsetBytes: 0, sizeBytes: UInt64(status.st_size)))
    } catch {
        throw .tool("resize2fs", reason: "its result cannot be read: \(error)")
    }
    // Whole blocks of any disk.
    let sizeBytes = min((layout.blockCount * layout.blockBytes + 4095) / 4096 * 4096, source.sizeBytes)
    guard ftruncate(file.number, off_t(sizeBytes)) == 0 else {
        throw .host(operation: "cut the temporary copy", SystemError(errno))
    }
    let data = examine(descriptor: file.number, offsetBytes: 0, sizeBytes: sizeBytes).content?.data ?? [0..<sizeBytes]
    let content = PartitionContent(descriptor: file.number, offsetBytes: 0, sizeBytes: sizeBytes, data: data)
    return ShrunkCopy(file: file, content: content, temporaryBytes: max(copied, UInt64(status.st_blocks) * 512))
}

/// An hour: moving blocks on a slow disk takes long.
private let shrinkSecondsMax = 3600.0

private func runShrinkTool(
    _ program: String, _ arguments: [String], codes: ClosedRange<Int32>, _ descriptor: Int32, _ cancellation: Cancellation
) throws(ShrinkFailure) {
    do throws(ToolFailure) {
        let output = try Tool(
            program: program, arguments: arguments + [Tool.descriptorPath], descriptor: descriptor,
            timeoutSeconds: shrinkSecondsMax, cancellation: cancellation
        ).run()
        guard codes.contains(output.code) else {
            throw ToolFailure(program: program, reason: "it ended with code \(output.code): \(output.errors)")
        }
    } catch {
        if cancellation.isCancelled { throw .cancelled }
        throw .tool(error.program, reason: error.reason)
    }
}

/// Returns how many bytes were copied.
private func copyData(
    of source: PartitionContent, to target: Int32, _ cancellation: Cancellation
) throws(ShrinkFailure) -> UInt64 {
    guard ftruncate(target, off_t(source.sizeBytes)) == 0 else {
        throw .host(operation: "make a temporary copy", SystemError(errno))
    }
    let chunkBytes: UInt64 = 4 << 20
    var copied: UInt64 = 0
    let reader = PartitionReader(descriptor: source.descriptor, offsetBytes: source.offsetBytes, sizeBytes: source.sizeBytes)
    for range in source.data {
        var position = range.lowerBound
        while position < range.upperBound {
            if cancellation.isCancelled { throw .cancelled }
            let bytes: [UInt8]
            do throws(MapFailure) {
                bytes = try reader.read(position, count: Int(min(chunkBytes, range.upperBound - position)))
            } catch {
                guard case .read(_, let cause) = error else { throw .unsuitable }
                throw .host(operation: "read the partition", cause)
            }
            var done = 0
            while done < bytes.count {
                // SAFETY: the kernel reads at most what is left of the array behind `done`.
                let result = unsafe bytes.withUnsafeBytes { area in
                    unsafe pwrite(
                        target, area.baseAddress.map { unsafe $0 + done }, bytes.count - done, off_t(position) + off_t(done))
                }
                if result < 0, errno == EINTR { continue }
                guard result > 0 else {
                    throw .host(operation: "write the temporary copy", SystemError(result < 0 ? errno : EIO))
                }
                done += result
            }
            position += UInt64(bytes.count)
            copied += UInt64(bytes.count)
        }
    }
    return copied
}
