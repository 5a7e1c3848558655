import CLinux
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

extension SampleImage {
    /// A byte of that partition's image which is zero as all around it are, a piece that is zeroed and not written.
    func zeroOffset(in region: Manifest.Region) throws -> UInt64 {
        let raw = try FileHandle(forReadingFrom: URL(filePath: rawPath))
        defer { try? raw.close() }
        let piece: UInt64 = 256 << 10
        for offset in stride(from: region.offset, to: region.offset + region.uncompressedSize - piece, by: Int(piece)) {
            try raw.seek(toOffset: offset)
            if try raw.read(upToCount: Int(piece))?.allSatisfy({ $0 == 0 }) == true { return offset + piece / 2 }
        }
        throw NoSuchRegion(name: "zeros in \(region.name)")
    }
}

extension EndToEnd {
    /// `verify`: compares and writes nothing.
    @Suite struct VerifyTests {
        private func verify(
            _ image: SampleImage, _ path: String, _ log: inout RunLog, _ engine: WriteEngine = .automatic
        ) throws -> StreamResult {
            var options = StreamOptions()
            options.writeEngine = engine
            return try verifyImage(
                from: makeImageSource(image.path, options: patientOptions()), onDisk: path, options: options,
                onEvent: { log.add($0) })
        }

        private func difference(_ image: SampleImage, _ path: String, _ log: inout RunLog) throws -> DiskMismatch? {
            do {
                _ = try verify(image, path, &log)
                return nil
            } catch let error as StreamError {
                #expect(error.disk == .onlyRead)
                guard case .mismatch(let mismatch) = error.cause else { throw error }
                #expect(error.phase == .verify)
                return mismatch
            }
        }

        private func expectEqual(
            _ image: SampleImage, _ path: String, _ engine: WriteEngine, isInUse: Bool = false
        ) throws {
            var log = RunLog()
            let before = try sha256(of: path)
            let result = try verify(image, path, &log, engine)
            #expect(!result.isWritten && result.writtenBytes == 0 && result.zeroedBytes == 0)
            #expect(result.verifiedBytes >= image.decodedBytes)
            #expect(result.plan.engineName == (engine == .pwrite ? "pwrite" : "io_uring"))
            #expect(log.phases == [.preflight, .verify, .done])
            #expect(log.progress.last?.verifiedBytes == log.progress.last?.verifiedBytesTotal)
            #expect(log.warnings.contains { $0.contains("in use") } == isInUse, "\(log.warnings)")
            #expect(try sha256(of: path) == before)
        }

        @Test(arguments: [WriteEngine.uring, .pwrite])
        func aFileThatHoldsTheImage(engine: WriteEngine) throws {
            let image = try SampleImage.make()
            // Larger than the image's disk: the backup table is not where the image has it.
            try TestTarget.file.with(sizeBytes: image.diskBytes + 8192) { path, _ in
                _ = try stream(image.path, to: path)
                try run("chmod", ["400", path])
                try expectEqual(image, path, engine)
            }
        }

        @Test(
            .enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: [512, 4096],
            [WriteEngine.uring, .pwrite])
        func aWriteProtectedDiskThatHoldsTheImage(blockBytes: Int, engine: WriteEngine) throws {
            let image = try SampleImage.make("--size 48M --esp-mib 20 --style mkcosi --lba \(blockBytes)")
            try LoopDevice.with(sizeBytes: image.diskBytes + 1 << 20, sectorSize: blockBytes) { device in
                _ = try stream(image.path, to: device.path)
                let arguments = ["--read-only", "--find", "--show", "--sector-size", "\(blockBytes)", device.backingFile.path]
                let path = try run("losetup", arguments).trimmingCharacters(in: .whitespacesAndNewlines)
                defer { _ = try? run("losetup", ["--detach", path]) }
                try expectEqual(image, path, engine)
            }
        }

        @Test func everyPlaceThatDiffersIsNamed() throws {
            let image = try SampleImage.make()
            let (esp, root) = (image.manifest.regions[0], try image.region("root"))
            try TestTarget.file.with(sizeBytes: image.diskBytes) { path, _ in
                _ = try stream(image.path, to: path)
                var log = RunLog()
                func part(_ region: SampleImage.Manifest.Region) -> DiskMismatch.Area {
                    .partition(number: region.number, name: region.name)
                }
                let last = root.offset + root.uncompressedSize - 1
                let places: [(UInt64, DiskMismatch.Area)] = [
                    (100, .mbr), (512 + 60, .primaryTable), (1024 + 40, .primaryTable),
                    (image.diskBytes - 512 + 17, .backupTable), (image.diskBytes - 33 * 512, .backupTable),
                    (esp.offset, part(esp)), (root.offset + 1_234_567, part(root)), (last, part(root)),
                    (try image.zeroOffset(in: root), part(root)),
                ]
                for (offset, area) in places {
                    try flipByte(offset, of: path)
                    let found = try #require(try difference(image, path, &log), "byte \(offset)")
                    #expect(found.area == area && found.offset == offset && found.lengthBytes == 1 && found.count == 1)
                    #expect(found.expectation == .image)
                    try flipByte(offset, of: path)
                }
                let warnings = log.warnings.filter { $0.hasPrefix(path) }
                #expect(warnings.count == 5 && warnings.first?.contains("LBA 0") == true, "\(warnings)")
                // Of several the first by its place on the disk, whichever is fetched first.
                for (offset, _) in places.dropFirst(3) { try flipByte(offset, of: path) }
                let found = try #require(try difference(image, path, &log))
                #expect((found.area, found.offset) == (part(esp), esp.offset))
                // The backup table counts once, whatever differs in it.
                #expect(found.count == 5)
                // What no image speaks of may be anything.
                for (offset, _) in places.dropFirst(3) { try flipByte(offset, of: path) }
                let table = UInt64(image.manifest.gpt.uncompressedSize)
                if esp.offset > table { try flipByte(table, of: path) }
                #expect(try difference(image, path, &log) == nil)
            }
        }

        @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
        func aDiskInUseIsReadWithAWarning() throws {
            let image = try SampleImage.make()
            try LoopDevice.with(sizeBytes: image.diskBytes) { device in
                _ = try stream(image.path, to: device.path)
                // Open exclusively, as a file system has it: it can be read all the same.
                let held = unsafe open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC)
                #expect(held >= 0)
                try expectEqual(image, device.path, .uring, isInUse: true)
                close(held)
                try withTemporaryFolder { folder in
                    try run("mkfs.ext4", ["-q", "-F", device.path])
                    try run("mount", ["-o", "ro", device.path, folder.path])
                    defer { _ = try? run("umount", [folder.path]) }
                    let before = try sha256(of: device.path)
                    var log = RunLog()
                    let found = try #require(try difference(image, device.path, &log))
                    #expect(found.count > 1)
                    #expect(log.warnings.contains { $0.contains("mounted on \(folder.path)") }, "\(log.warnings)")
                    #expect(try sha256(of: device.path) == before)
                }
            }
        }

        @Test func aDiskThatARunIsWritingIsBusy() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { path, _ in
                let holder = unsafe open(path, O_RDONLY | O_CLOEXEC)
                defer { close(holder) }
                #expect(cl_flock(holder, LOCK_EX) == 0)
                var log = RunLog()
                let error = try failure { _ = try verify(image, path, &log) }
                #expect(error?.cause.kind == "disk.busy")
            }
        }

        @Test func anImageThatIsCorruptIsTheImagesFault() throws {
            let image = try SampleImage.make()
            var bytes = try image.bytes
            bytes[try image.fileOffset(of: image.region("root")) + 2_000_000] ^= 1
            try withTemporaryFolder { folder in
                let changed = folder.appending(path: "changed.cosi").path
                try Data(bytes).write(to: URL(filePath: changed))
                try TestTarget.file.with(sizeBytes: image.diskBytes) { path, _ in
                    _ = try stream(image.path, to: path)
                    let before = try sha256(of: path)
                    let error = try failure {
                        _ = try verifyImage(from: makeImageSource(changed, options: patientOptions()), onDisk: path)
                    }
                    #expect(error?.cause.kind.hasPrefix("image.data") == true && error?.disk == .onlyRead)
                    #expect(try sha256(of: path) == before)
                }
            }
        }

        /// A server without ranges gives one pass only.
        @Test func anImageThatCanOnlyBeReadOnce() throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(doesRanges: false))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { path, _ in
                _ = try stream(image.path, to: path)
                let result = try verifyImage(
                    from: makeImageSource(nginx.url("image.cosi"), options: patientOptions()), onDisk: path)
                #expect(result.verifiedBytes >= image.decodedBytes)
            }
        }
    }
}
