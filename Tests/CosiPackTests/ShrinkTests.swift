import CosiPack
import Foundation
import Glibc
import Testing

@testable import TestSupport

@Suite("Shrinking an ext file system on a copy")
struct ShrinkTests {
    @Test(
        "A shrunk copy is smaller, checks clean and has every file, and the source is as it was",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func shrinks() throws {
        let sample = try SampleFilesystem(sizeMiB: 200, ["mkfs.ext4", "-q", "-F"])
        try sample.use()
        let sum = try run("sha256sum", [sample.path])
        let descriptor = unsafe open(sample.path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let found = examine(descriptor: descriptor, offsetBytes: 0, sizeBytes: sample.sizeBytes)
        let copy = try shrink(found, folder: FileManager.default.temporaryDirectory.path)
        #expect(copy.content.sizeBytes < 120 << 20 && copy.content.sizeBytes % 4096 == 0)
        #expect(copy.temporaryBytes > 1 << 20 && copy.temporaryBytes < 120 << 20)
        #expect(byteCount(copy.content.data, of: copy.content.sizeBytes) <= copy.content.sizeBytes)
        let restored = try sample.restored(copy.content.data, of: copy.content.descriptor, sizeBytes: copy.content.sizeBytes)
        try run("e2fsck", ["-f", "-n", restored])
        try sample.expectSameFiles(restored, options: "")
        #expect(try run("sha256sum", [sample.path]) == sum)
    }

    @Test("What is no clean ext file system is not shrunk")
    func refuses() throws {
        let sample = try SampleFilesystem(sizeMiB: 64, ["mkfs.vfat", "-F", "32", "-s", "1"])
        let found = try sample.examine()
        do {
            _ = try shrink(found, folder: FileManager.default.temporaryDirectory.path)
            Issue.record("it was shrunk")
        } catch ShrinkFailure.unsuitable {}
    }
}
