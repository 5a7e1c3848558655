import CLinux
import CosiFormat
import Glibc
import StreamDisk

/// The format of a disk image that is not a plain copy of its disk, told by its bytes.
enum VirtualFormat: Equatable {
    /// A raw disk with a footer behind it.
    case fixedVHD(sizeBytes: UInt64)
    /// By qemu-img's name: qcow2, vpc (VHD), vhdx, vmdk.
    case converted(String)

    var name: String {
        switch self {
        case .fixedVHD: "vpc"
        case .converted(let name): name
        }
    }

    /// Of VHD ("Virtual Hard Disk Image Format Specification", Hard Disk Footer Format), big-endian.
    private enum Footer {
        static let bytes = 512
        static let currentSize = 48
        static let type = 60
        static let fixed: UInt32 = 2
        static let dynamic: UInt32 = 3
    }

    /// Nil for a raw file. Throws for a form whose data lies in other files: those would be read, whatever they are.
    init?(of reader: SourceReader) throws(PackFault) {
        let head = try reader.bytes(0, count: Int(min(reader.sizeBytes, 512)))
        func refusal(_ reason: String) -> PackFault {
            .disk(.format, path: reader.path, reason: "\(reason); make one whole file of it: qemu-img convert -O raw")
        }
        guard head.count == 512 else { return nil }
        func begins(_ text: String) -> Bool { head.starts(with: text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }) }
        if begins("QFI\u{FB}") {
            // docs/interop/qcow2.txt of QEMU: backing_file_offset; bit 2 of incompatible_features is an external data file.
            if head.big64(8) != 0 { throw refusal("it is a qcow2 image on top of another file") }
            if head.big32(4) >= 3, head.big64(72) & 4 != 0 { throw refusal("it is a qcow2 image whose data is in another file") }
            self = .converted("qcow2")
        } else if begins("vhdxfile") {
            self = .converted("vhdx")
        } else if begins("KDMV") {
            // VMDK, SparseExtentHeader: without a capacity the descriptor names other files.
            if head.little64(12) == 0 { throw refusal("it is a VMDK descriptor, whose data is in other files") }
            self = .converted("vmdk")
        } else if begins("COWD") || begins("# Disk DescriptorFile") {
            throw refusal("it is a VMDK image in several files")
        } else if begins("conectix") {
            guard head.big32(Footer.type) == Footer.dynamic else {
                throw refusal("it is a VHD that only differs from another one")
            }
            self = .converted("vpc")
        } else {
            guard reader.sizeBytes >= 2 * UInt64(Footer.bytes) else { return nil }
            let tail = try reader.bytes(reader.sizeBytes - UInt64(Footer.bytes), count: Footer.bytes)
            guard tail.starts(with: "conectix".utf8), tail.big32(Footer.type) == Footer.fixed else { return nil }
            let size = tail.big64(Footer.currentSize)
            guard size <= reader.sizeBytes - UInt64(Footer.bytes) else {
                throw .disk(.truncated, path: reader.path, reason: "its VHD footer is for a disk of \(size) bytes; it is cut off")
            }
            self = .fixedVHD(sizeBytes: size)
        }
    }
}

/// The raw copy of a virtual disk: a sparse file without a name, which goes with this value or with the process.
final class VirtualDisk: Sendable {
    private static let program = "qemu-img"
    /// So long no conversion of a disk takes.
    private static let timeoutSeconds = 24 * 3600.0

    private let file: Descriptor
    let sizeBytes: UInt64
    var descriptor: Int32 { file.number }

    /// - Parameters:
    ///   - source: the file, which the program opens again by the descriptor.
    ///   - name: its format; the program is not left to guess it.
    ///   - folder: takes as much as the disk's data.
    init(
        _ source: Int32, name: String, path: String, folder: String, _ cancellation: Cancellation
    ) throws(PackFault) {
        do throws(SystemError) {
            file = try Descriptor(opening: folder, cl_O_TMPFILE | O_RDWR, mode: 0o600)
        } catch {
            throw .image(.write(path: folder, operation: "make a temporary file in", cause: error))
        }
        var tool = Tool(program: Self.program)
        // By the process's own number: the program opens both, and needs no name of theirs.
        let own = "/proc/\(getpid())/fd"
        // A VHD's size is in its footer; some makers' geometry is smaller.
        let size = name == "vpc" ? ",force_size_calc=current_size" : ""
        tool.arguments = [
            "convert", "--image-opts", "-O", "raw",
            "driver=\(name)\(size),file.driver=file,file.filename=\(own)/\(source)", "\(own)/\(file.number)",
        ]
        tool.timeoutSeconds = Self.timeoutSeconds
        tool.cancellation = cancellation
        let ended: Tool.Output
        do throws(ToolFailure) {
            ended = try tool.run()
        } catch {
            if cancellation.isCancelled { throw .image(.cancelled) }
            let advice = error.isMissing ? ", and a \(name) image takes it; install it (Debian: qemu-utils)" : ""
            throw .tool(Self.program, reason: error.reason + advice)
        }
        guard ended.code == 0 else {
            let words = ended.errors.split(separator: "\n").last.map(String.init) ?? "exit code \(ended.code)"
            throw .disk(.format, path: path, reason: "\(Self.program) cannot unpack it: \(words)")
        }
        let end = lseek(file.number, 0, SEEK_END)
        guard end >= 0 else { throw .image(.write(path: folder, operation: "read what was unpacked into", cause: .current)) }
        sizeBytes = UInt64(end)
    }
}
