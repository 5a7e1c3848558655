import ArgumentParser
import CLinux
import FoundationEssentials
import Glibc
import StreamDisk

/// The device a scenario writes to: loop devices that it makes, or one named explicitly.
struct DeviceOptions: ParsableArguments {
    enum Backing: String, ExpressibleByArgument, CaseIterable { case disk, tmpfs }

    @Option(help: "What lies under the loop device: a file in --dir with direct I/O (disk), or in /dev/shm (tmpfs).")
    var backing: Backing = .disk

    @Option(help: "Logical block size of the loop device: 512 or 4096.")
    var sector = 512

    @Option(help: ArgumentHelp("Where files are made, on a real disk.", valueName: "folder"))
    var dir = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"

    @Option(
        help: ArgumentHelp("Write this block device instead of a loop device. Refused when in use.", valueName: "path"))
    var device: String?

    @Flag(help: "Everything on --device may be lost.")
    var erase = false

    @Option(
        help: ArgumentHelp(
            "Hold writes to the disk under --dir to this many bytes a second, as a slower one would.", valueName: "500M"))
    var writeLimit: String?

    func validate() throws {
        if let writeLimit {
            guard sizeBytes(writeLimit) != nil, device == nil else {
                throw ValidationError("--write-limit takes a size such as 500M, and a loop device.")
            }
        }
        guard sector == 512 || sector == 4096 else { throw ValidationError("--sector must be 512 or 4096.") }
        if device != nil && !erase {
            throw ValidationError("--device also takes --erase: everything on it will be lost.")
        }
    }

    /// Makes the loop device, or checks the named device.
    ///
    /// - Parameter blockBytes: the block size the image needs; nil leaves it to the options.
    func open(sizeBytes: UInt64, blockBytes: Int? = nil) throws -> BenchDevice {
        guard geteuid() == 0 else { throw BenchError("this takes root: block devices, and dropping the page cache") }
        let folder = try Workspace.makeFolder(below: dir)
        if let device {
            guard let disk = HostDisks().list().first(where: { $0.path == device }) else {
                throw BenchError("\(device) is not a whole disk of this host (name it as in 'stream-disk disks')")
            }
            let requirement = DiskRequirement(
                sizeBytes: sizeBytes, blockBytes: blockBytes ?? disk.blockBytes)
            // Throws if it is mounted, swap, held, open elsewhere, too small …
            do {
                try TargetDisk.open(path: device, requirement: requirement, access: .readWrite).close()
            } catch let error as DiskSelectionError {
                throw BenchError("\(device): \(error.reason)")
            }
            let name = [disk.model, "\(disk.blockBytes)-byte blocks"].compactMap(\.self).joined(separator: ", ")
            return BenchDevice(path: device, folder: folder, sizeBytes: sizeBytes, text: "\(device) (\(name))")
        }
        let block = blockBytes ?? sector
        let isDirect = backing == .disk
        let place = isDirect ? folder : try Workspace.makeFolder(below: "/dev/shm")
        let path = try LoopDevice.make(in: place, sizeBytes: sizeBytes, blockBytes: block, isDirect: isDirect)
        let under = isDirect ? "\(Child.firstLine(["stat", "-f", "-c", "%T", folder]) ?? "?"), direct I/O" : "tmpfs"
        var text = "loop on \(under), \(block)-byte blocks"
        if let writeLimit, let bytes = bench.sizeBytes(writeLimit) {
            try WriteLimit.set(folder: folder, bytesPerSecond: bytes)
            text += ", writes held to \(writeLimit)B/s"
        }
        return BenchDevice(path: path, folder: folder, sizeBytes: sizeBytes, text: text)
    }
}

/// A device that may be overwritten, and a folder for the scenario's files.
struct BenchDevice {
    let path: String
    let folder: String
    /// How many bytes of it are used.
    let sizeBytes: UInt64
    /// A description that is the same on every run.
    let text: String

    /// Fills it with bytes that no image has at that place, so that nothing is correct by accident and every block is allocated.
    func fill() throws {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 4096)
        defer { unsafe piece.deallocate() }
        for index in piece.indices { unsafe piece[index] = 0xa5 }
        let descriptor = unsafe cl_open(path, O_WRONLY | O_CLOEXEC | cl_O_DIRECT, 0)
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be opened for writing") }
        defer { close(descriptor) }
        var offset: UInt64 = 0
        while offset < sizeBytes {
            let count = Int(min(UInt64(piece.count), sizeBytes - offset))
            let written = unsafe pwrite(descriptor, piece.baseAddress, count, off_t(offset))
            guard written > 0 else { throw BenchError("\(path) cannot be written at byte \(offset)") }
            offset += UInt64(written)
        }
        guard fsync(descriptor) == 0 else { throw BenchError("\(path) cannot be flushed") }
    }
}
