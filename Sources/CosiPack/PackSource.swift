package import CosiFormat
import Glibc
package import StreamDisk

/// The GPT disk that an image is made of: open for reading, and its table checked.
package final class PackSource: Sendable {
    /// As the caller gave it.
    package let path: String
    /// For reading at any offset: the disk, or a raw copy of a virtual one. Open while this value lives.
    package var descriptor: Int32 { copy?.descriptor ?? disk.descriptor }
    /// Whole blocks.
    package let sizeBytes: UInt64
    /// 512 or 4096.
    package let blockBytes: Int
    /// From byte 0 to the end of the GPT's entry array.
    package let table: [UInt8]
    package let gpt: GPT
    /// What is odd and does no harm, for people.
    package let warnings: [String]
    /// Its hardware; nil for a file.
    package var info: DiskInfo? { disk.info }
    /// What qemu-img calls its format; nil for a disk and for a raw file.
    package let virtualFormat: String?

    private let disk: SourceDisk
    private let copy: VirtualDisk?

    /// Where a disk's own data may lie before its first partition and is looked for: a BIOS boot loader's gap.
    private static let gapBytesMax: UInt64 = 1 << 20

    /// Opens a disk or file, and reads its table.
    ///
    /// - Parameters:
    ///   - blockBytes: of a file; nil: as its table shows. A disk has its own.
    ///   - copyFolder: where the raw copy of a virtual disk is made, a file without a name as large as its data.
    ///   - onNote: told before something that takes long.
    package init(
        _ path: String, blockBytes asked: Int?, copyFolder: String, cancellation: Cancellation, onNote: (String) -> Void
    ) throws(PackFault) {
        do throws(DiskSelectionError) {
            disk = try SourceDisk.open(path: path)
        } catch {
            guard error.kind == .notFound else { throw .source(error) }
            throw .disk(.notFound, path: path, reason: "there is no such disk or file")
        }
        self.path = path
        guard disk.sizeBytes > 0 else { throw .disk(.noTable, path: path, reason: "it is empty") }
        var reader = SourceReader(path: path, descriptor: disk.descriptor, sizeBytes: disk.sizeBytes)
        let format = disk.info == nil ? try VirtualFormat(of: reader) : nil
        virtualFormat = format?.name
        switch format {
        case nil: copy = nil
        case .fixedVHD(let sizeBytes)?:
            copy = nil
            reader.sizeBytes = sizeBytes
        case .converted(let name)?:
            onNote(
                "unpacking this \(name) image into a temporary raw file in \(copyFolder), which takes as much room as its data")
            let made = try VirtualDisk(disk.descriptor, name: name, path: path, folder: copyFolder, cancellation)
            copy = made
            reader = SourceReader(path: path, descriptor: made.descriptor, sizeBytes: made.sizeBytes)
        }
        let found = try PartitionTable(reader, deviceBlockBytes: disk.blockBytes, asked: asked)
        (blockBytes, table, gpt) = (found.blockBytes, found.bytes, found.gpt)
        sizeBytes = reader.sizeBytes - reader.sizeBytes % UInt64(found.blockBytes)
        var warnings = found.warnings
        if sizeBytes != reader.sizeBytes {
            warnings.append("\(path): its last \(reader.sizeBytes - sizeBytes) bytes are no whole block and are left out")
        }
        let first = found.gpt.partitions.map(\.offsetBytes).min() ?? sizeBytes
        let gap = UInt64(found.bytes.count)..<min(max(first, UInt64(found.bytes.count)), Self.gapBytesMax)
        if !gap.isEmpty, try reader.bytes(gap.lowerBound, count: Int(gap.count)).contains(where: { $0 != 0 }) {
            warnings.append(
                "\(path): between the partition table and the first partition are bytes that belong to neither, such as a BIOS boot "
                    + "loader's; an image does not carry them")
        }
        self.warnings = warnings
    }

    /// Throws if the source was changed since it was opened, as far as that can be told.
    package func expectUnchanged() throws(PackFault) {
        do throws(DiskSelectionError) { try disk.expectUnchanged() } catch { throw .source(error) }
    }

    /// Whether an output of this name would be the source itself.
    package func isSame(as path: String) -> Bool { disk.isSame(as: path) }

    /// Whether a path leads to something that a disk's image can be made of: a block device, a raw GPT disk, a virtual one.
    package static func isDisk(_ path: String) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return false }
        if status.st_mode & S_IFMT == S_IFBLK { return true }
        guard status.st_mode & S_IFMT == S_IFREG, let file = try? Descriptor(opening: path, O_RDONLY | O_NONBLOCK) else {
            return false
        }
        let reader = SourceReader(path: path, descriptor: file.number, sizeBytes: UInt64(max(status.st_size, 0)))
        guard let head = try? reader.bytes(0, count: min(2 * 4096, Int(reader.sizeBytes))) else { return false }
        // A tar, such as an image, is none, whatever follows its first header.
        if head.count > 262, head[257..<262].elementsEqual("ustar".utf8) { return false }
        if PartitionTable.blockSizes.contains(where: { PartitionTable.isThere(in: head, blockBytes: $0) }) { return true }
        // A form that is refused is a disk, too.
        do throws(PackFault) { return try VirtualFormat(of: reader) != nil } catch { return true }
    }
}

/// Small reads of a disk, whole or not at all.
struct SourceReader {
    let path: String
    let descriptor: Int32
    var sizeBytes: UInt64

    func bytes(_ offset: UInt64, count: Int) throws(PackFault) -> [UInt8] {
        guard offset <= sizeBytes, UInt64(count) <= sizeBytes - offset else {
            throw .image(.truncated(path: path, offset: sizeBytes))
        }
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            // SAFETY: the kernel writes at most what is left of the array behind `done`.
            let result = unsafe bytes.withUnsafeMutableBytes { area in
                unsafe pread(descriptor, area.baseAddress.map { unsafe $0 + done }, count - done, off_t(offset) + off_t(done))
            }
            let failure = SystemError(errno)
            if result < 0, failure.code == EINTR { continue }
            let place = offset + UInt64(done)
            guard result >= 0 else {
                throw .image(.read(path: path, offset: place, lengthBytes: UInt64(count - done), cause: failure))
            }
            guard result > 0 else { throw .image(.truncated(path: path, offset: place)) }
            done += result
        }
        return bytes
    }
}
