import CosiFormat
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import CosiPack
@testable import TestSupport

/// An open raw disk, packed as it is: no hole is known, all file systems are called ext4.
final class RawDisk {
    let path: String
    let file: FileHandle
    let sample: SampleImage

    init(_ sample: SampleImage) throws {
        self.sample = sample
        path = sample.rawPath
        file = try FileHandle(forReadingFrom: URL(filePath: path))
    }

    deinit { try? file.close() }

    func bytes(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
        try file.seek(toOffset: offset)
        return Array(try #require(try file.read(upToCount: count)))
    }

    func pack(
        to path: String, replaces: Bool = false, options: PackOptions = .small, cancellation: Cancellation = Cancellation(),
        changing change: (PartitionContent) -> PartitionContent = { $0 }, onProgress: (PackProgress) -> Void = { _ in }
    ) throws -> PackResult {
        // Its descriptor is open to the end.
        try withExtendedLifetime(self) {
            try writeCosi(
                try input(change), to: PackOutput(path: path, replaces: replaces), options: options, cancellation: cancellation,
                onProgress: onProgress)
        }
    }

    /// - Parameter change: of what a partition's image is made of.
    func input(_ change: (PartitionContent) -> PartitionContent = { $0 }) throws -> PackInput {
        let manifest = sample.manifest
        let partitions = manifest.regions.map { region in
            let size = region.uncompressedSize
            let content = PartitionContent(
                descriptor: file.fileDescriptor, offsetBytes: region.offset, sizeBytes: size, data: [0..<size])
            return PackInput.Partition(
                number: region.number, imagePath: "images/disk_\(region.number).raw.zst", content: change(content),
                sourcePath: path,
                filesystem: PackInput.Filesystem(
                    mountPoint: "/p\(region.number)", fsType: "ext4", fsUUID: "uuid-\(region.number)"))
        }
        return PackInput(
            table: try bytes(0, Int(manifest.gpt.uncompressedSize)), blockBytes: Int(manifest.lba), diskBytes: manifest.diskSize,
            tablePath: "images/disk_gpt.raw.zst",
            // Not the disk's order.
            partitions: partitions.reversed(),
            system: PackInput.System(
                osArch: .x86_64, osRelease: "NAME=\"A \\ B\"\nID=test\n",
                osPackages: [CosiMetadata.Package(name: "libc6", version: "2.36", release: "9+deb12u9", arch: "amd64")],
                bootloader: CosiMetadata.Bootloader(
                    type: "systemd-boot",
                    entries: [CosiMetadata.BootEntry(type: "uki-standalone", path: "/EFI/a.efi", cmdline: "quiet", kernel: "6.1")]
                )
            ))
    }
}

extension PackOptions {
    /// Small frames, so that small images have many.
    static var small: PackOptions {
        var options = PackOptions()
        options.level = 3
        options.frameBytes = 64 << 10
        return options
    }
}

/// Tests/Tools/check-pack, which knows nothing of our code; the partitions' images as it saw them.
func checkPack(_ path: String, raw: String) throws -> [CheckedImage] {
    let tool = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools/check-pack").path
    return try run(tool, [path, raw]).split(separator: "\n").map {
        try JSONDecoder().decode(CheckedImage.self, from: Data($0.utf8))
    }
}

struct CheckedImage: Decodable {
    let number: Int
    /// The lengths of their content.
    let frames: [Int]
    /// Bytes that its index says are zero.
    let zeros: UInt64
}

/// The names in a folder, hidden ones too.
func names(in folder: URL) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

/// The error of a pack that fails.
func packError(_ body: () throws -> PackResult) throws -> PackError {
    var found: PackError?
    do {
        _ = try body()
    } catch let error as PackError {
        found = error
    }
    return try #require(found, "nothing failed")
}
