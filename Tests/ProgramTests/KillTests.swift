import Foundation
import Glibc
import Testing

@testable import TestSupport

/// The built program, killed where it stands, on a disk that held a whole older system.
///
/// `STREAM_DISK_KILLS` sets how often, `STREAM_DISK_SEED` the draw of the moments.
@Suite("Killed at any moment", .serialized, .timeLimit(.minutes(10)), .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
struct KillTests {
    private static let phases = ["preflight", "invalidate", "write", "commit"]
    /// Which of them the kills fall into, in turn.
    private static let turns = [1, 2, 3, 2, 1, 2, 3, 0]

    @Test("After a SIGKILL the old system is whole, or the new one, or there is no valid table")
    func killed() throws {
        let (kills, seed) = (setting("STREAM_DISK_KILLS") ?? 8, UInt64(setting("STREAM_DISK_SEED") ?? 1))
        var random = SplitMix64(state: seed)
        let image = try SampleImage.make()
        try withKilledDisk(image) { disk in
            let spans = try disk.timedRun()
            var (killed, found): (Int, [String: Int]) = (0, [:])
            for number in 0..<kills {
                try disk.restore()
                // Most moments of a run are writing; invalidation and commit are the ones that matter.
                let phase = Self.turns[number % Self.turns.count]
                let delay = Double.random(in: 0..<1.2 * spans[phase], using: &random)
                let options = [[], ["--engine", "pwrite"]].randomElement(using: &random) ?? []
                let running = try Running([image.path, "--disk", disk.path, "--yes", "-q"] + options, events: true)
                try running.waitForPhase(Self.phases[phase])
                usleep(UInt32(delay * 1e6))
                running.signal(SIGKILL)
                let ended = try running.wait()
                try disk.waitUntilFree()
                let place = "STREAM_DISK_SEED=\(seed), kill \(number), \(Int(delay * 1e6)) µs after \(Self.phases[phase])"
                let state = try disk.state(place)
                #expect([0, 1000 + SIGKILL].contains(ended.code), "\(place): \(ended.errors)")
                if ended.code != 0 { killed += 1 }
                if ended.code == 0 { #expect(state == "new", "\(place)") }
                found["\(Self.phases[phase]): \(state)", default: 0] += 1
            }
            #expect(killed > 0, "all of them came too late")
            // And it can be run again, over whatever was left.
            try #require(try Program.run([image.path, "--disk", disk.path, "--yes", "-q"]).code == 0)
            #expect(try disk.state("the run after the last kill") == "new")
            let list = found.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            print("\(killed) of \(kills) kills in time: \(list)")
        }
    }

    private func withKilledDisk(_ image: SampleImage, _ body: (KilledDisk) throws -> Void) throws {
        // With another layout, so that nothing of it is where the new one's bytes are; and larger than both.
        let old = try SampleImage.make("--size 32M --esp-mib 6 --level 3")
        let size = image.diskBytes + 4 << 20
        try TestTarget.disk(blockBytes: 512).with(sizeBytes: size) { path, was in
            try #require(try Program.run([old.path, "--disk", path, "--yes", "-q"]).code == 0)
            try old.expectStreamed(to: path, was: was)
            try withTemporaryFolder { folder in
                let copy = folder.appending(path: "old.raw").path
                try run("dd", ["if=\(path)", "of=\(copy)", "bs=4M", "status=none"])
                try body(KilledDisk(path: path, copy: copy, image: image))
            }
        }
    }
}

/// A disk that held an older system, and what may be found on it.
private struct KilledDisk {
    let path: String
    /// The disk as it was.
    let copy: String
    let image: SampleImage
    private let was: [UInt8]
    private let raw: [UInt8]
    private let old: CheckedTable
    private let new: CheckedTable

    init(path: String, copy: String, image: SampleImage) throws {
        (self.path, self.copy, self.image) = (path, copy, image)
        was = try Self.bytes(of: copy)
        raw = try Self.bytes(of: image.rawPath)
        old = try #require(CheckedTable(of: was, isPrimary: true, blockBytes: 512))
        new = try #require(CheckedTable(of: raw, isPrimary: true, blockBytes: 512))
        #expect(old != new)
    }

    func restore() throws { try RandomFile.copy(copy, to: path, sizeBytes: UInt64(was.count)) }

    /// How long each phase of a whole run takes, as far as one can see from outside.
    func timedRun() throws -> [Double] {
        let running = try Running([image.path, "--disk", path, "--yes", "-q"], events: true)
        let clock = ContinuousClock()
        var times: [ContinuousClock.Instant] = []
        for phase in ["preflight", "invalidate", "write", "commit", "done"] {
            try running.waitForPhase(phase)
            times.append(clock.now)
        }
        try #require(try running.wait().code == 0)
        try image.expectStreamed(to: path, was: copy)
        return zip(times, times.dropFirst()).map { span in
            let duration = span.0.duration(to: span.1).components
            return Double(duration.seconds) + Double(duration.attoseconds) / 1e18
        }
    }

    /// Requests that were under way end after the process did: nobody else has the disk open when it opens exclusively.
    func waitUntilFree() throws {
        for _ in 0..<500 {
            let descriptor = unsafe open(path, O_RDONLY | O_EXCL | O_CLOEXEC)
            if descriptor >= 0 {
                close(descriptor)
                return
            }
            usleep(10_000)
        }
        Issue.record("\(path) is still in use")
    }

    /// What is on it: "old", "new", "old backup" and so on for one table alone, or "no table". Records what is not right.
    func state(_ place: String) throws -> String {
        try run("blockdev", ["--flushbufs", path])
        let disk = try Self.bytes(of: path)
        var found: [String] = []
        for (name, isPrimary) in [("primary", true), ("backup", false)] {
            guard let table = CheckedTable(of: disk, isPrimary: isPrimary, blockBytes: 512) else { continue }
            if table == old {
                found.append("old \(name)")
                for partition in old.partitions {
                    let range = partition.lowerBound * 512..<(partition.upperBound + 1) * 512
                    expectSame(disk, was, range, "\(place): the old \(name) table stands, \(partition)")
                }
            } else if table == new {
                found.append("new \(name)")
                for region in image.manifest.regions {
                    let range = Int(region.offset)..<Int(region.offset + region.uncompressedSize)
                    expectSame(disk, raw, range, "\(place): the new \(name) table stands, \(region.name)")
                }
            } else {
                Issue.record("\(place): a \(name) table that nobody made")
            }
        }
        // Other people's eyes: where sfdisk reads a table we have found one, and whole systems are looked at as a whole.
        let isRead = (try? run("sfdisk", ["--dump", path]))?.contains("label: gpt") ?? false
        #expect(!isRead || !found.isEmpty, "\(place): sfdisk reads a table")
        switch found {
        case []: return "no table"
        case ["old primary", "old backup"]:
            // LBA 0 goes first.
            expectSame(disk, was, 512..<disk.count, place)
            return "old"
        case ["new primary", "new backup"]:
            if Array(disk[..<512]) == Array(raw[..<512]) {
                try image.expectStreamed(to: path, was: copy)
                return "new"
            }
            return "new without LBA 0"
        default: return found.joined(separator: " and ")
        }
    }

    private func expectSame(_ disk: [UInt8], _ truth: [UInt8], _ range: Range<Int>, _ place: String) {
        let isSame = isSame(unsafe truth.span.bytes.extracting(range), disk, at: range.lowerBound)
        #expect(isSame, "\(place): bytes \(range) are not right")
    }

    private static func bytes(of path: String) throws -> [UInt8] {
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? file.close() }
        return [UInt8](try file.readToEnd() ?? Data())
    }
}
