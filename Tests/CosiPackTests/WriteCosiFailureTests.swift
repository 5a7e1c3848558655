import CosiFormat
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import CosiPack
@testable import TestSupport

/// Whatever goes wrong, no half an image gets the name.
@Suite struct WriteCosiFailureTests {
    @Test("A file that has the name stays as it is, unless it may be replaced")
    func existing() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "out.cosi").path
            try "mine".write(toFile: path, atomically: false, encoding: .utf8)
            let error = try packError { try RawDisk(sample).pack(to: path) }
            #expect(error.kind == "output.exists" && error.code == 64)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
            _ = try RawDisk(sample).pack(to: path, replaces: true)
            #expect(try checkPack(path, raw: sample.rawPath).count == sample.manifest.regions.count)
            #expect(try names(in: folder) == ["out.cosi"])
        }
    }

    @Test("A folder, a link and the disk itself are not replaced")
    func notAFile() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let link = folder.appending(path: "link").path
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/dev/null")
            for path in [folder.path, link, sample.rawPath] {
                let error = try packError { try RawDisk(sample).pack(to: path, replaces: true) }
                #expect(error.kind == "output.notAFile", "\(path)")
            }
            #expect(try names(in: folder) == ["link"])
        }
    }

    @Test("A source that ends too early is a failure of the source, and leaves nothing")
    func sourceEnds() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let error = try packError {
                try RawDisk(sample).pack(to: folder.appending(path: "out.cosi").path) { content in
                    PartitionContent(
                        descriptor: content.descriptor, offsetBytes: sample.diskBytes - 4096, sizeBytes: content.sizeBytes,
                        data: content.data)
                }
            }
            #expect(error.kind == "source.read" && error.code == 74 && error.offset == sample.diskBytes, "\(error)")
            #expect(try names(in: folder) == [])
        }
    }

    @Test("An output that is full is a failure with 74, and leaves nothing", .enabled(if: geteuid() == 0, "needs root"))
    func outputFull() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            try run("mount", ["-t", "tmpfs", "-o", "size=256k", "stream-disk-test", folder.path])
            defer { _ = try? run("umount", [folder.path]) }
            let error = try packError { try RawDisk(sample).pack(to: folder.appending(path: "out.cosi").path) }
            #expect(error.kind == "output" && error.code == 74, "\(error)")
            #expect(error.message().contains("No space left"))
            #expect(try names(in: folder) == [])
        }
    }

    @Test("A run that is cancelled ends with 130, and leaves nothing")
    func cancelled() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let cancellation = Cancellation()
            cancellation.cancel()
            let error = try packError {
                try RawDisk(sample).pack(to: folder.appending(path: "out.cosi").path, cancellation: cancellation)
            }
            #expect(error.kind == "cancelled" && error.code == 130)
            #expect(try names(in: folder) == [])
        }
    }

    @Test("A process that is killed when all but the name is there leaves nothing")
    func killed() async throws {
        let sample = try SampleImage.make()
        let folder = FileManager.default.temporaryDirectory.appending(path: "stream-disk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let raw: String = sample.rawPath
        let manifest: String = sample.manifestPath
        let output: String = folder.path + "/out.cosi"
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [raw = raw as String, manifest = manifest as String, output = output as String] in
            let parsed = try JSONDecoder().decode(
                SampleImage.Manifest.self, from: Data(contentsOf: URL(filePath: manifest)))
            let sample = SampleImage(path: "", rawPath: raw, manifestPath: manifest, manifest: parsed)
            _ = try RawDisk(sample).pack(
                to: output, onProgress: { if $0.phase == .finish { kill(getpid(), SIGKILL) } })
        }
        #expect(try names(in: folder) == [])
    }

    @Test("What makes no valid image is said before anything is read", arguments: ["number", "size", "verity", "path"])
    func invalid(what: String) throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let disk = try RawDisk(sample)
            let input = try disk.input { content in
                let size = what == "size" ? sample.diskBytes : content.sizeBytes
                return PartitionContent(
                    descriptor: content.descriptor, offsetBytes: content.offsetBytes, sizeBytes: size, data: [0..<size])
            }
            let partitions = input.partitions.map { partition in
                var filesystem = partition.filesystem
                if what == "verity" { filesystem?.verity = PackInput.Verity(hashNumber: 77, rootHash: "00") }
                return PackInput.Partition(
                    number: what == "number" ? 99 : partition.number,
                    imagePath: what == "path" ? "elsewhere/a" : partition.imagePath, content: partition.content,
                    sourcePath: partition.sourcePath, filesystem: filesystem)
            }
            let changed = PackInput(
                table: input.table, blockBytes: input.blockBytes, diskBytes: input.diskBytes, tablePath: input.tablePath,
                partitions: partitions, system: input.system)
            let output = PackOutput(path: folder.appending(path: "out.cosi").path, replaces: false)
            let error = try packError { try writeCosi(changed, to: output) }
            withExtendedLifetime(disk) {}
            #expect(error.code == 65, "\(error)")
            #expect(try names(in: folder) == [])
        }
    }
}
