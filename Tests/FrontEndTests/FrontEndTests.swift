import Foundation
import StreamDisk
import Testing

@testable import TestSupport

/// What a front-end in another package does: this target sees only what is public (`packageAccess` in Package.swift).
@Suite("A caller from outside the package")
struct FrontEndTests {
    /// What `run` reports, as the lines of `--events`, for a front-end that passes them on.
    private func lines<Result: Sendable>(
        _ run: (_ onEvent: (StreamEvent) -> Void) throws(StreamError) -> Result,
        ended: (inout EventLines, Result) -> [EventLines.Line]
    ) throws -> [[String: Any]] {
        var events = EventLines()
        var lines = [events.start(verb: "stream")]
        do throws(StreamError) {
            let result = try run { lines += events.lines(of: $0) }
            lines += ended(&events, result)
        } catch {
            lines += events.lines(of: error)
        }
        return try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0.text.utf8)) as? [String: Any]) }
    }

    @Test("It streams an image, follows the progress, passes the events on, and compares.")
    func aRunIsFollowed() async throws {
        let image = try SampleImage.make()
        try await onThread {
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                var options = StreamOptions()
                options.hash = try #require(ExpectedHash("sha384:" + image.manifest.metadataSha384))
                options.readsBack = true
                var last: StreamProgress?
                var asked: StreamPlan?
                let told = try lines { onEvent throws(StreamError) in
                    try streamImage(
                        from: try makeImageSource(image.path, options: SourceOptions()), to: .path(disk), options: options,
                        approve: { plan in
                            asked = plan
                            return true
                        },
                        onEvent: { event in
                            if case .progress(let progress) = event { last = progress }
                            onEvent(event)
                        })
                } ended: { events, result in
                    #expect(result.isWritten && result.writtenBytes > 0 && result.verifiedBytes > 0)
                    return events.lines(completed: result)
                }
                let words = told.compactMap { $0["event"] as? String }
                #expect(words.first == "start" && words.contains("plan") && words.last == "completed", "\(words)")
                #expect(last?.decodedBytes == last?.decodedBytesTotal && last?.fetchedBytes == last?.compressedBytesTotal)
                let plan = try #require(asked)
                #expect(plan.hashText == "sha384:" + image.manifest.metadataSha384 && !plan.architecture.isEmpty)
                #expect(plan.diskPath == disk && plan.diskInfo == nil)
                #expect(Set(plan.partitions.map(\.number)).isSuperset(of: image.manifest.regions.map(\.number)))

                let found = try inspectImage(from: try makeImageSource(image.path))
                #expect(found.hashText == plan.hashText && found.json.line.contains(plan.hashText))
                _ = try verifyImage(from: try makeImageSource(image.path), onDisk: disk)
            }
        }
    }

    @Test("It writes one partition onto a file.")
    func aPartitionIsWritten() async throws {
        let image = try SampleImage.make()
        let region = try #require(image.manifest.regions.first)
        try await onThread {
            try TestTarget.file.with(sizeBytes: region.uncompressedSize) { path, _ in
                let target = RegionTarget(partition: .number(region.number), path: path)
                let result = try streamRegions(from: try makeImageSource(image.path), to: [target])
                #expect(result.writtenBytes + result.zeroedBytes >= region.uncompressedSize)
            }
        }
    }

    @Test("It learns what failed from kind, code, state and cause, and in its own words.")
    func aFailureIsData() async throws {
        let image = try SampleImage.make()
        try await onThread {
            var options = StreamOptions()
            options.hash = .sha384([UInt8](repeating: 0, count: 48))
            do throws(StreamError) {
                _ = try streamImage(from: try makeImageSource(image.path), to: .path("/nowhere"), options: options)
                Issue.record("not refused")
            } catch {
                #expect((error.kind, error.code, error.phase, error.disk) == ("image.hash", 65, .preflight, .untouched))
                guard case .image = error.cause else { throw error }
                let wording = Wording { setting in if case .hash = setting { "image_hash" } else { nil } }
                #expect(error.message(wording).contains("image_hash takes that of metadata.json"))
                #expect(error.message(wording).hasPrefix(error.cause.message(wording)))
            }
            do throws(SourceError) {
                _ = try makeImageSource("ftp://host/x")
                Issue.record("not refused")
            } catch {
                #expect(error.kind == .invalidReference && error.source == "ftp://host/x" && !error.reason.isEmpty)
            }
            let told = try lines { onEvent throws(StreamError) in
                try inspectImage(from: try makeImageSource("/nowhere"), cancellation: Cancellation(), onEvent: onEvent)
            } ended: { events, contents in
                events.lines(completed: contents, isHashCompared: false)
            }
            #expect(told.last?["kind"] as? String == "source.notFound")
        }
    }

    @Test("It lists the disks, and says which one it means.")
    func disksAreListed() throws {
        let hosts = HostDisks()
        for disk in hosts.list() where disk.obstacles.isEmpty { #expect(disk.sizeBytes > 0 && !disk.path.isEmpty) }
        let hint = try #require(DiskHint("serial=none such"))
        #expect(DiskHint("colour=red") == nil && DiskHint.refusal(of: "colour=red")?.contains("serial") == true)
        let json = try JSONSerialization.jsonObject(with: Data(hosts.json(selectedBy: [hint]).line.utf8))
        let disks = try #require(json as? [[String: Any]])
        #expect(disks.allSatisfy { $0["candidate"] as? Bool == false })
    }
}
