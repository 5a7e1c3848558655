import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Where a limit is too tight for a run, it says so before the first write, with one error; else it keeps to it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct LimitTests {
    /// Its data partition is larger than the window of 128 MiB, so that the window is filled.
    private func wideImage() throws -> SampleImage {
        try SampleImage.make("--size 200M --esp-mib 4 --data-mib 160 --zero-percent 100 --level 3 --window-log 27")
    }

    /// A sparse file with another partition table, as large as the image's disk.
    private func withTarget(_ image: SampleImage, _ body: (_ path: String) throws -> Void) throws {
        try TestTarget.file.withOldTable(sizeBytes: image.diskBytes, body)
    }

    private func expectRefused(
        _ image: SampleImage, _ path: String, _ arguments: [String] = [], through: [String], says: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = try sha256(of: path)
        let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"] + arguments, through: through)
        expectFailure(ended, 78, says: says + ["Nothing was written"], sourceLocation: sourceLocation)
        #expect(try sha256(of: path) == before, sourceLocation: sourceLocation)
    }

    private func expectWritten(
        _ image: SampleImage, _ path: String, _ arguments: [String] = [], through: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"] + arguments, through: through)
        #expect(ended.code == 0, "\(ended.errors)", sourceLocation: sourceLocation)
        #expect(try tablesLeft(on: path).count == 4, sourceLocation: sourceLocation)
    }

    // MARK: Memory

    @Test(.enabled(if: ControlGroup.isAvailable, ControlGroup.needs))
    func aWindowOf128MiBStreamsInAControlGroupOf200() throws {
        let image = try wideImage()
        try withTarget(image) { path in
            for engine in ["io_uring", "pwrite"] {
                try ControlGroup.with(.memory(mebibytes: 200)) { group in
                    try expectWritten(image, path, ["--engine", engine], through: group.command)
                    // It was no near thing: the rest is for sockets and for libraries that nobody else has in memory.
                    if let peak = group.peakBytes { #expect(peak < 180 << 20) }
                }
            }
            try ControlGroup.with(.memory(mebibytes: 200)) { group in
                let ended = try Program.run(["verify", image.path, "--disk", path, "-q"], through: group.command)
                #expect(ended.code == 0, "\(ended.errors)")
            }
        }
    }

    @Test(
        "A control group too small for the window is told before anything is written",
        .enabled(if: ControlGroup.isAvailable, ControlGroup.needs))
    func smallControlGroup() throws {
        let image = try wideImage()
        try withTarget(image) { path in
            try ControlGroup.with(.memory(mebibytes: 140)) { group in
                let says = ["needs", "of memory", "the control group \(group.folder) leaves", "raise its limit"]
                try expectRefused(image, path, through: group.command, says: says)
                // What may be used at most is no permission to use more than there is.
                try expectRefused(image, path, ["--memory-limit", "1G"], through: group.command, says: says)
            }
        }
    }

    @Test(
        "Between too little and enough, no control group's run is killed",
        .enabled(if: ControlGroup.isAvailable, ControlGroup.needs))
    func controlGroupsBetween() throws {
        let image = try wideImage()
        try withTarget(image) { path in
            var codes: [Int32] = []
            for mebibytes in stride(from: 148, through: 180, by: 4) {
                try ControlGroup.with(.memory(mebibytes: mebibytes)) { group in
                    let arguments = [image.path, "--disk", path, "--yes", "-q", "--verify"]
                    codes.append(try Program.run(arguments, through: group.command).code)
                }
            }
            #expect(codes == codes.sorted(by: >) && Set(codes) == [78, 0], "\(codes)")
        }
    }

    @Test("A limit on address space or data is kept, or told before anything is written")
    func addressSpace() throws {
        let image = try wideImage()
        try withTarget(image) { path in
            for option in ["as", "data"] {
                let says = ["of memory", option == "as" ? "ulimit -v" : "ulimit -d"]
                for mebibytes in [130, 180] {
                    try expectRefused(image, path, through: ["prlimit", "--\(option)=\(mebibytes << 20)"], says: says)
                }
                for mebibytes in [300, 600] {
                    try expectWritten(image, path, through: ["prlimit", "--\(option)=\(mebibytes << 20)"])
                }
            }
        }
    }

    @Test("The memory limit holds for reading the metadata too")
    func largeMetadata() throws {
        let packages = ".osPackages=[range(60000)|{name:\"n\",version:\"v\",release:\"r\",arch:\"a\"}]"
        let folder = try TemporaryFolder()
        let path = folder.path + "/image.cosi"
        try run(
            SampleImage.imagesFolder + "/make-image",
            SampleImage.small.split(separator: " ").map(String.init) + [
                "--level", "1", "--out", path, "--edit-metadata", packages,
            ])
        let target = try folder.write("disk", [])
        try run("truncate", ["-s", "32M", target])
        let refused = try Program.run([path, "--disk", target, "--yes", "-q", "--memory-limit", "32M"])
        expectFailure(refused, 78, says: ["of memory", "--memory-limit", "Nothing was written"])
        let ended = try Program.run([path, "--disk", target, "--yes", "-q", "--memory-limit", "160M"], events: true)
        #expect(ended.code == 0, "\(ended.errors)")
        let peak = try #require(ended.events.last?["peakMemoryBytes"] as? Int)
        #expect(peak < 160 << 20)
    }

    // MARK: Threads, stacks, descriptors

    @Test(
        "Threads that are refused are told before anything is written, however many are granted",
        .enabled(if: ControlGroup.isAvailable, ControlGroup.needs))
    func fewThreads() throws {
        let image = try SampleImage.make()
        try withTarget(image) { path in
            var codes: [Int32] = []
            // With so many processors, so many lanes, and so many threads: from some count on there are enough.
            for count in [1, 2, 3, 5, 7, 8, 9, 10, 12, 24, 512] {
                try ControlGroup.with(.processes(count)) { group in
                    let before = try sha256(of: path)
                    let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"], through: group.command)
                    codes.append(ended.code)
                    guard ended.code != 0 else { return }
                    expectFailure(ended, 78, says: ["cannot start", "thread", "Nothing was written"])
                    #expect(try sha256(of: path) == before)
                }
            }
            #expect(codes == codes.sorted(by: >) && Set(codes) == [78, 0], "\(codes)")
        }
    }

    @Test("No thread at all: an error, and nothing is written", arguments: ["io_uring", "pwrite"])
    func noThreads(engine: String) throws {
        let image = try SampleImage.make()
        try withTarget(image) { path in
            try expectRefused(
                image, path, ["--engine", engine],
                through: [Program.restricted, "--refuse", "clone3=EAGAIN", "--refuse", "clone=EAGAIN"],
                says: ["cannot start", "thread"])
        }
    }

    @Test("A stack that may not grow is no matter", arguments: [64, 512])
    func smallStack(kibibytes: Int) throws {
        let image = try SampleImage.make()
        try withTarget(image) { path in
            try expectWritten(image, path, through: ["prlimit", "--stack=\(kibibytes << 10)"])
            // The code of a command comes through from the other thread.
            let ended = try Program.run(["inspect", "/none"], through: ["prlimit", "--stack=\(kibibytes << 10)"])
            #expect(ended.code == 66)
        }
    }

    @Test("Few descriptors are enough, or too few is told before anything is written", arguments: 4...9)
    func fewDescriptors(count: Int) throws {
        let image = try SampleImage.make()
        try withTarget(image) { path in
            let through = ["prlimit", "--nofile=\(count)"]
            if count < 6 {
                try expectRefused(image, path, through: through, says: ["Too many open files"])
            } else {
                try expectWritten(image, path, through: through)
            }
        }
    }

    // MARK: File sizes

    @Test("A limit on file sizes is an error of the disk, with its place, and no death", arguments: ["io_uring", "pwrite"])
    func fileSizes(engine: String) throws {
        let image = try SampleImage.make()
        try withTarget(image) { path in
            let ended = try Program.run(
                [image.path, "--disk", path, "--yes", "-q", "--engine", engine], events: true,
                through: ["prlimit", "--fsize=\(20 << 20)"])
            expectFailure(ended, 74, says: [path, "failed", "File too large", "at byte"])
            let offset = try #require(ended.events.last?["offset"] as? Int)
            #expect(offset + 512 > 20 << 20)
        }
    }
}
