import CosiFormat
import Foundation
import Testing

@testable import CosiPack
@testable import StreamDisk
@testable import TestSupport

/// Images with content indexes from a real server, onto files that hold part of them. What is fetched is what the server says
/// it sent, without what `inspect` needs.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ReuseTests {
    @Test("The same image again fetches 1 % at most and writes no data; so does verify, and with --verify it is read back")
    func sameAgain() throws {
        try withServed { served in
            let first = try served.stream()
            #expect(first.result.reusedBytes == 0 && first.fetched > served.imageBytes * 9 / 10)
            let again = try served.stream()
            #expect(again.fetched <= served.imageBytes / 100, "\(again.fetched) of \(served.imageBytes)")
            #expect(again.result.writtenBytes == 0 && again.result.reusedBytes == served.contentBytes)
            let checked = try served.stream { $0.readsBack = true }
            #expect(checked.result.verifiedBytes >= served.contentBytes && checked.fetched <= served.imageBytes / 100)
            let verified = try served.verify()
            #expect(verified.fetched <= served.imageBytes / 100)
            try served.expectWhole()
        }
    }

    @Test("Of a frame with a flipped byte, verify names the byte, and the next run fetches that frame alone")
    func flippedByte() throws {
        try withServed { served in
            _ = try served.stream()
            let region = try served.sample.region("root")
            let place = region.offset + region.uncompressedSize / 3
            try served.flip(served.target, at: place)
            var found: StreamError?
            do { _ = try served.verify() } catch let error as StreamError { found = error }
            guard case .mismatch(let mismatch)? = found?.cause else {
                Issue.record("\(String(describing: found))")
                return
            }
            #expect(mismatch.offset == place && mismatch.lengthBytes == 1)
            let again = try served.stream()
            // A frame has 256 KiB at most.
            #expect(again.fetched <= served.imageBytes / 100 + 256 << 10)
            #expect(again.result.writtenBytes > 0 && again.result.writtenBytes <= 256 << 10)
            try served.expectWhole()
        }
    }

    @Test(
        "A run that was cut half-way and is run again fetches 1.1 times the image at most", arguments: [ReuseMode.auto, .always])
    func cutHalfWay(mode: ReuseMode) throws {
        // A cut loses what waits for the decoder, some MiB whatever the image: this one is large enough for the share.
        try withServed(Nginx.Settings(limitRate: "16m"), dataMiB: 112) { served in
            let cancellation = Cancellation()
            let before = served.sent
            #expect(throws: StreamError.self) {
                _ = try served.stream(
                    cancellation: cancellation,
                    onProgress: { if $0.fetchedBytes > served.imageBytes / 2 { cancellation.cancel() } })
            }
            let again = try served.stream { $0.reuse = mode }
            let both = served.sent - before - 2 * served.inspectBytes
            #expect(again.result.reusedBytes > 0)
            #expect(both <= served.imageBytes * 11 / 10, "\(both) of \(served.imageBytes)")
            try served.expectWhole()
        }
    }

    @Test("A flipped byte in the index is an error of the image, and nothing is written")
    func flippedIndex() throws {
        try withServed { served in
            let was = try sha256(of: served.target)
            let index = try #require(served.bytes.firstRange(of: Array("COSI-IDX".utf8)))
            try served.flip(served.folder + "/www/image.cosi", at: UInt64(index.lowerBound + 100))
            var found: StreamError?
            do { _ = try served.stream() } catch let error as StreamError { found = error }
            #expect(found?.code == 65 && found?.kind == "image.dataHash" && found?.disk == .untouched)
            found = nil
            do { _ = try inspectImage(from: makeImageSource(served.url)) } catch let error as StreamError { found = error }
            #expect(found?.code == 65 && found?.kind == "image.dataHash")
            #expect(try sha256(of: served.target) == was)
        }
    }

    @Test(
        "Nothing is compared with never, without ranges, and where samples find nothing",
        arguments: ["never", "sequential", "auto"])
    func todaysWay(way: String) throws {
        try withServed(Nginx.Settings(doesRanges: way != "sequential")) { served in
            if way != "auto" { _ = try served.stream() }
            let again = try served.stream { $0.reuse = way == "never" ? .never : .auto }
            #expect(again.result.reusedBytes == 0 && again.result.decodedBytes == served.contentBytes)
            try served.expectWhole()
        }
    }

    @Test("One partition's image again, onto its own target, fetches 1 % at most")
    func region() throws {
        try withServed { served in
            let target = served.folder + "/root.raw"
            let region = try served.sample.region("root")
            try run("truncate", ["-s", "\(region.uncompressedSize)", target])
            var fetched: [UInt64] = []
            for _ in 0..<2 {
                let before = served.sent
                _ = try streamRegions(
                    from: makeImageSource(served.url), to: [RegionTarget(partition: .name("root"), path: target)])
                fetched.append(served.sent - before - served.inspectBytes)
            }
            #expect(fetched[0] > region.compressedSize / 2 && fetched[1] <= served.imageBytes / 100, "\(fetched)")
            try run(
                "cmp",
                [
                    "--ignore-initial=0:\(region.offset)", "--bytes=\(region.uncompressedSize)", target, served.sample.rawPath,
                ])
        }
    }
}

/// The same with seeds: files that hold the content elsewhere.
extension ReuseTests {
    @Test(
        "Onto a blank disk, what a seed has is copied from wherever it lies, and 5 % at most are fetched",
        arguments: ReuseMode.allCases)
    func seed(mode: ReuseMode) throws {
        try withServed { served in
            let seed = served.folder + "/seed.raw"
            try run("bash", ["-c", "(head -c 40960 /dev/urandom; cat \"$1\") > \"$2\"", "seed", served.sample.rawPath, seed])
            let was = try sha256(of: seed)
            let seeded = try served.stream { options in
                options.seeds = [seed]
                options.reuse = mode
            }
            #expect(seeded.fetched <= served.imageBytes / 20, "\(seeded.fetched) of \(served.imageBytes)")
            try served.expectWhole()
            #expect(try sha256(of: seed) == was)
        }
    }

    @Test("One partition's image comes from the other slot")
    func seedOfRegion() throws {
        try withServed { served in
            let region = try served.sample.region("root")
            let (target, slot) = (served.folder + "/b.raw", served.folder + "/a.raw")
            try run("truncate", ["-s", "\(region.uncompressedSize)", target])
            let dd = "dd if=\"$1\" of=\"$2\" bs=512 skip=$3 count=$4 status=none"
            try run(
                "bash",
                ["-c", dd, "dd", served.sample.rawPath, slot, "\(region.offset / 512)", "\(region.uncompressedSize / 512)"])
            var options = StreamOptions()
            options.seeds = [slot]
            let before = served.sent
            _ = try streamRegions(
                from: makeImageSource(served.url), to: [RegionTarget(partition: .name("root"), path: target)], options: options)
            #expect(served.sent - before - served.inspectBytes <= served.imageBytes / 20)
            try run("cmp", ["--bytes=\(region.uncompressedSize)", target, slot])
        }
    }

    @Test("A seed with nothing in common changes nothing; the target as a seed is refused, and nothing is written")
    func uselessSeeds() throws {
        try withServed { served in
            let seed = served.folder + "/seed.raw"
            try run("bash", ["-c", "head -c 8M /dev/urandom > \"$1\"", "seed", seed])
            let was = try sha256(of: served.target)
            var found: StreamError?
            do { _ = try served.stream { $0.seeds = [seed, served.target] } } catch let error as StreamError { found = error }
            #expect(found?.kind == "disk.inUse" && found?.disk == .untouched)
            #expect(try sha256(of: served.target) == was)
            let all = try served.stream { $0.seeds = [seed] }
            #expect(all.fetched > served.imageBytes * 9 / 10)
            try served.expectWhole()
        }
    }
}

/// A packed image behind nginx, and a file to write it to.
private struct Served {
    let nginx: Nginx
    let sample: SampleImage
    let target: String
    let bytes: [UInt8]
    /// Compressed, of all partitions.
    let imageBytes: UInt64
    var inspectBytes: UInt64 = 0

    var folder: String { nginx.folder.path }
    var url: String { nginx.url("image.cosi") }
    var contentBytes: UInt64 { sample.decodedBytes }

    /// All that the server has sent. A line is written after its answer: waits until no more come.
    var sent: UInt64 {
        var lines = nginx.accessLog(lines: 0)
        while true {
            usleep(50_000)
            let now = nginx.accessLog(lines: 0)
            if now.count == lines.count { break }
            lines = now
        }
        return lines.reduce(0) { $0 + (UInt64($1.split(separator: " ").dropFirst().first ?? "0") ?? 0) }
    }

    func stream(
        cancellation: Cancellation = Cancellation(), _ change: (inout StreamOptions) -> Void = { _ in },
        onProgress: (StreamProgress) -> Void = { _ in }
    ) throws -> (result: StreamResult, fetched: UInt64) {
        var options = StreamOptions()
        options.progressIntervalSeconds = 0.02
        change(&options)
        let before = sent
        let result = try streamImage(
            from: makeImageSource(url), to: .path(target), options: options, cancellation: cancellation,
            onEvent: { if case .progress(let progress) = $0 { onProgress(progress) } })
        return (result, sent - before - min(inspectBytes, sent - before))
    }

    func verify() throws -> (result: StreamResult, fetched: UInt64) {
        let before = sent
        let result = try verifyImage(from: makeImageSource(url), onDisk: target)
        return (result, sent - before - min(inspectBytes, sent - before))
    }

    func flip(_ path: String, at offset: UInt64) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: offset)
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: offset)
        try file.write(contentsOf: Data([byte ^ 1]))
        try file.close()
    }

    func expectWhole() throws {
        for region in sample.manifest.regions {
            try run("cmp", ["--ignore-initial=\(region.offset)", "--bytes=\(region.uncompressedSize)", target, sample.rawPath])
        }
    }
}

private func withServed(
    _ settings: Nginx.Settings = Nginx.Settings(), dataMiB: Int = 24, _ body: (Served) throws -> Void
) throws {
    let sample = try SampleImage.make("--size \(dataMiB + 40)M --esp-mib 4 --level 1 --data-mib \(dataMiB) --zero-percent 20")
    let nginx = try Nginx(settings)
    let path = nginx.folder.path + "/www/image.cosi"
    _ = try RawDisk(sample).pack(to: path)
    let target = nginx.folder.path + "/disk.raw"
    try run("truncate", ["-s", "\(sample.diskBytes)", target])
    let bytes = Array(try Data(contentsOf: URL(filePath: path)))
    var served = Served(nginx: nginx, sample: sample, target: target, bytes: bytes, imageBytes: 0)
    let contents = try inspectImage(from: makeImageSource(served.url))
    // A run that takes no account of the indexes fetches this much, too.
    let indexBytes = contents.partitionRegions.reduce(0) { $0 + ($1.contentIndex?.sizeBytes ?? 0) }
    served.inspectBytes = served.sent - indexBytes
    let imageBytes = contents.compressedBytes
    served = Served(
        nginx: nginx, sample: sample, target: target, bytes: bytes, imageBytes: imageBytes,
        inspectBytes: served.inspectBytes)
    try body(served)
}
