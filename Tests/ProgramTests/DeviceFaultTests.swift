import Foundation
import Glibc
import Testing

@testable import TestSupport

/// A disk that fails, hangs, crawls or goes away: the run says so in one line and in time, and no table stands over what is
/// incomplete.
@Suite(.timeLimit(.minutes(10)), .enabled(if: FaultyBlockDevice.isAvailable, FaultyBlockDevice.needs)) struct DeviceFaultTests {
    /// Puts random bytes and another system's table onto it.
    private func fill(_ backing: String, _ image: SampleImage) throws {
        let random = try RandomFile.atLeast(sizeBytes: image.diskBytes)
        try RandomFile.copy(random, to: backing, sizeBytes: image.diskBytes)
        let script = "printf 'label: gpt\\nsize=4M\\n' | sfdisk --quiet --no-reread --no-tell-kernel --wipe always \"$1\""
        try run("bash", ["-c", script, "sfdisk", backing])
        #expect(try tablesLeft(on: backing).count == 4)
    }

    private func withDisk(
        _ server: FaultyBlockDevice.Server, _ body: (_ image: SampleImage, _ disk: FaultyBlockDevice) throws -> Void
    ) throws {
        let image = try SampleImage.make()
        try FaultyBlockDevice.with(sizeBytes: image.diskBytes, server, fill: { try fill($0, image) }) { try body(image, $0) }
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var write = "true"
        var read = "true"
        var flush = "true"
        var arguments: [String] = []
        /// Where in the image's disk; nil for a flush.
        var offset: Int?
        let says: [String]
        var kind = "device"
        let phase: String
        let disk: String
        /// What of a table may be left.
        var leaves: [String] = []
    }

    /// The disk's size, and where the backup table begins.
    private static let (size, lastMiB, backup) = (32 << 20, 31 << 20, (32 << 20) - 33 * 512)
    /// Counts in a file, in the shell.
    private static func nth(_ n: Int) -> String { "echo >>calls; [ $(wc -l <calls) != \(n) ] || fail EIO" }

    static let faults = [
        Fault(
            testDescription: "at the first write", write: "[ $offset != 0 ] || fail EIO", offset: 0,
            says: ["a write of 512 bytes at byte 0: Input/output error", "do not trust"], phase: "invalidate",
            // The rest of the old table is gone all the same.
            disk: "uncertain", leaves: ["MBR", "sfdisk reads one"]),
        Fault(
            testDescription: "at the first flush", flush: nth(1), says: ["a flush", "Input/output error"],
            phase: "invalidate", disk: "uncertain"),
        Fault(
            testDescription: "in the middle, for want of space",
            write: "[ $((offset + count)) -le 12582912 -o $offset -ge \(lastMiB) ] || fail ENOSPC", offset: 12_582_912,
            says: ["No space left on device", "run again"], phase: "write", disk: "withoutTable"),
        Fault(
            testDescription: "at the flush of the data", flush: nth(3),
            says: ["a flush", "Input/output error", "run again"], phase: "write", disk: "withoutTable"),
        Fault(
            testDescription: "at the backup table",
            write: "[ $offset != \(backup) ] || { \(nth(2)); }", offset: backup,
            says: ["a write of 16896 bytes at byte \(backup): Input/output error"], phase: "commit", disk: "uncertain"),
        Fault(
            testDescription: "at the primary table", write: "[ $offset != 512 ] || { \(nth(2)); }", offset: 512,
            says: ["a write of 16896 bytes at byte 512: Input/output error"], phase: "commit", disk: "uncertain"),
        Fault(
            testDescription: "at the very last write", write: "[ $offset != 0 ] || { \(nth(2)); }", offset: 0,
            says: ["a write of 512 bytes at byte 0: Input/output error"], phase: "commit", disk: "uncertain"),
        Fault(
            testDescription: "at the very last flush", flush: nth(6), says: ["a flush", "Input/output error"],
            phase: "commit", disk: "uncertain"),
        Fault(
            // All data are there and checked; what is missing is the MBR, without which neither firmware nor kernel look.
            testDescription: "from the very last write on",
            write: "[ $offset != 0 ] || echo >>zero; "
                + "[ ! -e zero ] || [ $(wc -l <zero) -lt 2 ] || fail EIO", offset: 0,
            says: ["a write of 512 bytes at byte 0: Input/output error", "do not trust"], phase: "commit",
            disk: "uncertain", leaves: ["primary GPT", "backup GPT"]),
        Fault(
            testDescription: "when it is read back", read: "[ $offset != 1048576 ] || fail EIO", arguments: ["--verify"],
            offset: 1_048_576, says: ["a read of", "at byte 1048576: Input/output error", "run again"], phase: "verify",
            disk: "withoutTable"),
        Fault(
            // The beginning of the ESP.
            testDescription: "by a write that is acknowledged and dropped", write: "[ $offset != 1048576 ] || drop",
            arguments: ["--verify"], offset: 1_048_576, says: ["reads back other bytes", "run again"], kind: "device.mismatch",
            phase: "verify", disk: "withoutTable"),
        Fault(
            testDescription: "by an old table that stays", write: "[ $offset != 512 ] || drop",
            arguments: ["--verify"], offset: 512, says: ["the primary partition table", "reads back other bytes"],
            kind: "device.mismatch", phase: "invalidate", disk: "uncertain", leaves: ["primary GPT"]),
    ]

    @Test(arguments: faults) func anErrorEndsTheRunAndLeavesNoTable(fault: Fault) throws {
        try withDisk(.script(write: fault.write, read: fault.read, flush: fault.flush)) { image, disk in
            #expect(image.diskBytes == UInt64(Self.size))
            let ended = try Program.run([image.path, "--disk", disk.path, "--yes", "-q"] + fault.arguments, events: true)
            expectFailure(ended, 74, says: [disk.path] + fault.says)
            #expect(ended.seconds < 30)
            let last = try #require(ended.events.last)
            #expect(last["event"] as? String == "error")
            #expect((last["kind"] as? String, last["phase"] as? String) == (fault.kind, fault.phase))
            #expect(last["diskState"] as? String == fault.disk)
            let offset = last["offset"] as? Int
            if fault.phase == "write", let first = fault.offset {
                // Several writes are under way: which of those that fail comes back first is open.
                #expect((offset ?? 0) + (1 << 20) > first)
            } else {
                #expect(offset == fault.offset)
            }
            #expect(try tablesLeft(on: disk.backing) == fault.leaves)
        }
    }

    /// A server that is quick up to the middle of the image, so that a fault can come while data are on their way.
    private func slowServer(_ image: SampleImage) throws -> Nginx {
        let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
        try nginx.serve("image.cosi", image.bytes)
        return nginx
    }

    /// How a disk in the middle of a run goes bad.
    enum End: String, Sendable, CaseIterable {
        case failsEveryWrite
        case vanishes
    }

    @Test(arguments: End.allCases, ["io_uring", "pwrite"]) func aDiskThatGoesBadOnTheWay(end: End, engine: String) throws {
        try withTemporaryFolder { folder in
            let trigger = folder.appending(path: "trigger").path
            let filters =
                ["--filter=error"]
                + ["pwrite", "zero"].flatMap {
                    ["error-\($0)=EIO", "error-\($0)-rate=1", "error-\($0)-file=\(trigger)"]
                }
            try withDisk(.filters(filters)) { image, disk in
                let nginx = try slowServer(image)
                let running = try Running(
                    [nginx.url("image.cosi"), "--disk", disk.path, "--yes", "-q", "--engine", engine], events: true)
                try running.waitForBytes()
                switch end {
                case .failsEveryWrite: try Data().write(to: URL(filePath: trigger))
                case .vanishes: try disk.vanish()
                }
                try expectNoTable(running, on: disk.backing, says: [disk.path, "Input/output error"])
            }
        }
    }

    @Test func aDiskThatShrinksOnTheWay() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            try fill(device.backingFile.path, image)
            let nginx = try slowServer(image)
            let running = try Running([nginx.url("image.cosi"), "--disk", device.path, "--yes", "-q"], events: true)
            try running.waitForBytes()
            try run("truncate", ["-s", "1M", device.backingFile.path])
            try run("losetup", ["--set-capacity", device.path])
            try expectNoTable(running, on: device.backingFile.path, says: [device.path])
        }
    }

    private func expectNoTable(_ running: Running, on backing: String, says: [String]) throws {
        let ended = try running.wait(seconds: 30)
        expectFailure(ended, 74, says: says + ["at byte", "no partition table", "run again"])
        #expect(ended.events.last?["diskState"] as? String == "withoutTable")
        #expect(try tablesLeft(on: backing) == [])
    }

    /// All at once, for each does nothing but wait: so many seconds as `STREAM_DISK_STALL` says.
    @Test func aDiskThatStallsIsWaitedForAndTheRunSaysSo() throws {
        let seconds = setting("STREAM_DISK_STALL") ?? 12
        let stall = "{ [ -e stalled ] || { echo >stalled; sleep \(seconds); }; }"
        let middle = 10 << 20
        let stalls: [FaultyBlockDevice.Server] = [
            .script(write: stall),
            .script(write: "[ $offset -lt \(middle) -o $offset -ge \(Self.lastMiB) ] || \(stall)"),
            .script(flush: "echo >>calls; [ $(wc -l <calls) != 3 ] || \(stall)"),
            .script(write: "[ $offset != \(Self.backup) ] || { echo >>calls; [ $(wc -l <calls) != 2 ] || \(stall); }"),
        ]
        let phases = ["invalidate", "write", "write", "commit"]
        let image = try SampleImage.make()
        var runs: [(disk: FaultyBlockDevice, running: Running)] = []
        func start(_ left: ArraySlice<FaultyBlockDevice.Server>) throws {
            if let server = left.first {
                return try withDisk(server) { _, disk in
                    runs.append((disk, try Running([image.path, "--disk", disk.path, "--yes"], events: true)))
                    try start(left.dropFirst())
                }
            }
            for (run, phase) in zip(runs, phases) {
                let ended = try run.running.wait(seconds: Double(seconds) + 30)
                #expect(ended.code == 0, "\(ended.errors)")
                #expect(ended.seconds > Double(seconds))
                let place = try #require(
                    ended.events.firstIndex { ($0["message"] as? String)?.contains("has not answered for 1") == true },
                    "no word of the stall in \(phase): \(ended.errors)")
                #expect(ended.errors.contains("warning: \(run.disk.path) has not answered for 1"), "\(ended.errors)")
                let entered = ended.events[..<place].last { $0["event"] as? String == "phase" }
                #expect(entered?["phase"] as? String == phase)
                try image.expectStreamed(to: run.disk.backing, was: RandomFile.atLeast(sizeBytes: image.diskBytes))
            }
        }
        try start(stalls[...])
    }

    @Test func aSignalEndsTheRunWhenTheStallEnds() throws {
        try withDisk(.script(write: "[ $offset = 0 ] || while [ -e stall ]; do sleep 0.1; done")) { image, disk in
            let stall = URL(filePath: disk.folder).appending(path: "stall")
            let nginx = try slowServer(image)
            let running = try Running([nginx.url("image.cosi"), "--disk", disk.path, "--yes", "-q"], events: true)
            try running.waitForBytes()
            try Data().write(to: stall)
            usleep(300_000)
            running.signal(SIGTERM)
            usleep(700_000)
            try FileManager.default.removeItem(at: stall)
            expectFailure(try running.wait(seconds: 10), 143, says: ["interrupted", "no partition table"])
            #expect(try tablesLeft(on: disk.backing) == [])
        }
    }

    @Test(arguments: [
        ["--filter=rate", "rate=20M", "burstiness=1"], ["--filter=delay", "delay-write=100ms", "delay-zero=100ms"],
    ])
    func aSlowDiskOnlyTakesLonger(filters: [String]) throws {
        try withDisk(.filters(filters)) { image, disk in
            let ended = try Program.run([image.path, "--disk", disk.path, "--yes"], events: true)
            #expect(ended.code == 0, "\(ended.errors)")
            // Six writes at least come one after the other: three before the data, three behind them.
            #expect(ended.seconds > 0.5)
            #expect(!ended.errors.contains("has not answered"))
            try image.expectStreamed(to: disk.backing, was: RandomFile.atLeast(sizeBytes: image.diskBytes))
        }
    }
}
