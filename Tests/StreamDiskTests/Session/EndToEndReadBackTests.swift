import CLinux
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

extension EndToEnd {
    /// `--verify`: nothing is committed that the disk does not read back.
    @Suite struct ReadBackTests {
        private func check(_ target: TestTarget, _ image: SampleImage, _ engine: WriteEngine) throws {
            var options = StreamOptions()
            options.readsBack = true
            options.writeEngine = engine
            try target.with(sizeBytes: image.diskBytes + 4096) { path, was in
                let (result, log) = try stream(image.path, to: path, options)
                try image.expectStreamed(to: path, was: was)
                #expect(log.phases == [.preflight, .invalidate, .write, .verify, .commit, .done])
                #expect(result.isWritten)
                // Whole blocks of each image, and what it leaves of its partition's last MiB.
                let lba = image.manifest.lba
                let written = image.manifest.regions.reduce(UInt64(0)) { sum, region in
                    let bytes = (region.uncompressedSize + lba - 1) / lba * lba
                    return sum + bytes + min((region.lastLba - region.firstLba + 1) * lba - bytes, 1 << 20)
                }
                #expect(result.verifiedBytes == written)
                let last = try #require(log.progress.last)
                #expect(last.phase == .verify && last.verifiedBytes == written && last.verifiedBytesTotal == written)
                #expect(log.progress.filter { $0.phase == .write }.allSatisfy { $0.verifiedBytes == 0 })
            }
        }

        @Test(arguments: [WriteEngine.uring, .pwrite])
        func aFileIsReadBack(engine: WriteEngine) throws {
            try check(.file, try SampleImage.make(), engine)
        }

        @Test(
            .enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: [512, 4096],
            [WriteEngine.uring, .pwrite])
        func aDiskIsReadBack(blockBytes: Int, engine: WriteEngine) throws {
            try check(
                .disk(blockBytes: blockBytes), try SampleImage.make("--size 48M --esp-mib 20 --style mkcosi --lba \(blockBytes)"),
                engine)
        }

        /// - Parameter isZero: whether the byte is one of those that the device zeroed.
        private func expectFound(_ target: TestTarget, _ engine: WriteEngine, isZero: Bool) throws {
            let image = try SampleImage.make()
            let region = try image.region("root")
            let offset = try isZero ? image.zeroOffset(in: region) : region.offset + 2000
            var options = StreamOptions()
            options.readsBack = true
            options.writeEngine = engine
            try target.withOldTable(sizeBytes: image.diskBytes) { path in
                let error = try failure {
                    _ = try stream(
                        image.path, to: path, options,
                        onEvent: { event in
                            // The disk forgets a bit.
                            if case .phase(.verify) = event { try? flipByte(offset, of: path) }
                        })
                }
                guard case .mismatch(let mismatch) = error?.cause else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(mismatch.area == .partition(number: region.number, name: region.name))
                #expect(mismatch.offset...(mismatch.offset + UInt64(mismatch.lengthBytes)) ~= offset)
                #expect(mismatch.lengthBytes <= 1 << 20 && mismatch.offset % 512 == 0)
                #expect((error?.phase, error?.disk) == (.verify, .withoutTable))
                let text = error?.description ?? ""
                for part in [path, "'root'", "reads back other bytes", "\(mismatch.offset)", "no partition table"] {
                    #expect(text.contains(part), "\(text)")
                }
                #expect(try tablesLeft(on: path) == [])
            }
        }

        @Test(arguments: [WriteEngine.uring, .pwrite], [false, true])
        func aFileThatHoldsOtherBytesGetsNoTable(engine: WriteEngine, isZero: Bool) throws {
            try expectFound(.file, engine, isZero: isZero)
        }

        @Test(
            .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
            arguments: [WriteEngine.uring, .pwrite], [false, true])
        func aDiskThatHoldsOtherBytesGetsNoTable(engine: WriteEngine, isZero: Bool) throws {
            try expectFound(.disk(blockBytes: 512), engine, isZero: isZero)
        }

        @Test func aRunCancelledWhileItReadsBackLeavesNoTable() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let cancellation = Cancellation()
                var options = StreamOptions()
                options.readsBack = true
                let error = try failure {
                    _ = try stream(
                        image.path, to: path, options, cancellation: cancellation,
                        onEvent: { event in if case .phase(.verify) = event { cancellation.cancel() } })
                }
                #expect(error?.cause.kind == "cancelled")
                #expect((error?.phase, error?.disk) == (.verify, .withoutTable))
                #expect(try tablesLeft(on: path) == [])
            }
        }

        /// The memory to read into counts: what is enough without may be too little with.
        @Test func theMemoryLimitHoldsForReadingBackToo() throws {
            let image = try SampleImage.make()
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let before = try sha256(of: path)
                var options = StreamOptions()
                options.memoryLimitBytes = 1 << 20
                var needed: [UInt64] = []
                for readsBack in [false, true] {
                    options.readsBack = readsBack
                    let error = try failure { _ = try stream(image.path, to: path, options) }
                    guard case .memory(let bytes, let limit) = error?.cause, limit.bytes == 1 << 20, limit.origin == .asked else {
                        Issue.record("\(String(describing: error))")
                        return
                    }
                    needed.append(bytes)
                }
                #expect(needed[1] >= needed[0] + 8 << 20)
                #expect(try sha256(of: path) == before)
                options.memoryLimitBytes = needed[1]
                _ = try stream(image.path, to: path, options)
            }
        }
    }
}
