import CosiFormat
import Foundation
import StreamDisk
import Testing

@testable import CosiPack
@testable import TestSupport

/// Images made of real disks, judged by other programs.
@Suite struct WriteCosiTests {
    @Test(
        "Python, zstd and sha384 find in the image what is on the disk, in the format's order",
        arguments: [
            "--size 48M --esp-mib 4 --lba 512 --data-mib 6 --zero-percent 60",
            "--size 112M --lba 4096 --esp-mib 40 --content-mib 8 --hash-bytes 70000 --more-partitions 2",
        ])
    func othersReadIt(options: String) throws {
        let sample = try SampleImage.make("--level 1 " + options)
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "out.cosi").path
            let result = try RawDisk(sample).pack(to: path)
            let images = try checkPack(path, raw: sample.rawPath)
            #expect(images.count == sample.manifest.regions.count)
            #expect(images.reduce(0) { $0 + $1.frames.count } == result.frameCount)
            #expect(images.contains { $0.frames.count > 10 })
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64
            #expect(size == result.fileBytes)
            #expect(try names(in: folder) == ["out.cosi"])
            let sums = try run("bash", ["-c", "tar -xOf \"$1\" metadata.json | sha384sum", "sum", path])
            #expect(sums.hasPrefix(result.metadataSHA384.hexadecimal))
        }
    }

    @Test("inspect takes the image without a warning")
    func inspectTakesIt() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "out.cosi").path
            _ = try RawDisk(sample).pack(to: path)
            let ended = try Program.run(["inspect", path])
            #expect(ended.code == 0, "\(ended.errors)")
            #expect(!ended.errors.contains("warning"), "\(ended.errors)")
        }
    }

    @Test("A disk that is streamed from it holds the partitions' bytes of the first one")
    func streamedBack() throws {
        let sample = try SampleImage.make()
        try withTemporaryFolder { folder in
            let (path, target) = (folder.appending(path: "out.cosi").path, folder.appending(path: "disk.raw").path)
            let result = try RawDisk(sample).pack(to: path)
            try run("truncate", ["-s", "\(sample.diskBytes)", target])
            let ended = try Program.run(
                ["stream", path, "--disk", target, "--yes", "-q", "--hash", "sha384:" + result.metadataSHA384.hexadecimal])
            #expect(ended.code == 0, "\(ended.errors)")
            for region in sample.manifest.regions {
                try run(
                    "cmp",
                    ["--ignore-initial=\(region.offset)", "--bytes=\(region.uncompressedSize)", target, sample.rawPath])
            }
        }
    }

    @Test("Two packs of a disk are equal, whatever the number of threads, and the disk is as before")
    func deterministic() throws {
        let sample = try SampleImage.make()
        let before = try sha256(of: sample.rawPath)
        try withTemporaryFolder { folder in
            var sums: Set<String> = []
            for threads in [1, 2, 5] {
                let path = folder.appending(path: "\(threads).cosi").path
                var options = PackOptions.small
                options.threads = threads
                _ = try RawDisk(sample).pack(to: path, options: options)
                sums.insert(try sha256(of: path))
            }
            #expect(sums.count == 1)
        }
        #expect(try sha256(of: sample.rawPath) == before)
    }

    @Test("What the contents call free is not read: it is zero in the image, whatever the disk holds there")
    func holesAreNotRead() throws {
        let sample = try SampleImage.make("--size 48M --esp-mib 4 --level 1 --data-mib 6 --zero-percent 0")
        let region = try #require(sample.manifest.regions.max { $0.offset < $1.offset })
        // Bounds inside blocks, a hole that is too short for a frame, and long ones.
        let data: [Range<UInt64>] = [5000..<200_000, 203_000..<210_001, 1_000_000..<1_000_001, 3_000_000..<3_500_000]
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "out.cosi").path
            var source = Array(try Data(contentsOf: URL(filePath: sample.rawPath)))
            let start = Int(region.offset)
            for byte in 0..<Int(region.uncompressedSize) where !data.contains(where: { $0.contains(UInt64(byte)) }) {
                source[start + byte] = 0
            }
            let expected = folder.appending(path: "expected.raw")
            try Data(source).write(to: expected)
            let result = try RawDisk(sample).pack(
                to: path,
                changing: { content in
                    guard content.offsetBytes == region.offset else { return content }
                    return PartitionContent(
                        descriptor: content.descriptor, offsetBytes: content.offsetBytes, sizeBytes: content.sizeBytes, data: data
                    )
                })
            let image = try #require(try checkPack(path, raw: expected.path).last)
            #expect(image.zeros > 4_500_000)
            let others = sample.manifest.regions.filter { $0.number != region.number }.reduce(0) { $0 + $1.uncompressedSize }
            #expect(result.readBytes == others + data.reduce(0) { $0 + UInt64($1.count) })
        }
    }
}
