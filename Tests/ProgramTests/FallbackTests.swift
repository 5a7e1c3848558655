import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Where the kernel, or who guards it, refuses what makes a run quick, the run is slower, says what it uses, and writes the
/// same bytes.
@Suite(.timeLimit(.minutes(10))) struct FallbackTests {
    /// A run under Tests/Tools/restricted.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var restrictions: [String] = []
        var arguments: [String] = []
        /// Nil: some kernels refuse io_uring then, some do not.
        var engine: String? = "io_uring"
        var says: String?
        /// Whether runs of zeros can still be left to the disk; nil where that is up to the kernel.
        var zeroesByDevice: Bool? = true

        var command: [String] { [Program.restricted] + restrictions }
    }

    private static func refuse(_ calls: String...) -> [String] { calls.flatMap { ["--refuse", $0] } }

    static let refusals = [
        Refusal(testDescription: "nothing"),
        Refusal(
            testDescription: "io_uring, by a container's filter", restrictions: refuse("io_uring_setup=EPERM"),
            engine: "pwrite", says: "io_uring is refused here (Operation not permitted): writing with pwrite"),
        Refusal(
            testDescription: "io_uring, by a kernel without", restrictions: refuse("io_uring_setup=ENOSYS"),
            engine: "pwrite", says: "io_uring is refused here (Function not implemented): writing with pwrite"),
        Refusal(
            testDescription: "io_uring, for want of memory", restrictions: refuse("io_uring_setup=ENOMEM"),
            engine: "pwrite", says: "io_uring is refused here (Cannot allocate memory): writing with pwrite"),
        // Granted when it is set up, and not when it is used.
        Refusal(
            testDescription: "to enter io_uring", restrictions: refuse("io_uring_enter=EPERM"), engine: "pwrite",
            says: "io_uring is refused here (Operation not permitted): writing with pwrite"),
        Refusal(
            testDescription: "to enter io_uring, by a filter that knows nothing of it",
            restrictions: refuse("io_uring_enter=ENOSYS"), engine: "pwrite",
            says: "io_uring is refused here (Function not implemented): writing with pwrite"),
        Refusal(
            testDescription: "to enter io_uring, with an answer to try again for ever",
            restrictions: refuse("io_uring_enter=EAGAIN"),
            engine: "pwrite",
            says: "io_uring is refused here (Resource temporarily unavailable): writing with pwrite"),
        // As Linux before 5.6 answers the question which operations there are; but this kernel has the features of later ones.
        Refusal(testDescription: "to tell io_uring's operations", restrictions: refuse("io_uring_register=EINVAL")),
        Refusal(testDescription: "to register with io_uring", restrictions: refuse("io_uring_register=EPERM")),
        Refusal(testDescription: "to lock any memory", restrictions: ["--locked-kib", "0"], engine: nil),
        // What other rings of the same user have locked counts against the limit: either engine.
        Refusal(testDescription: "to lock more than 64 KiB", restrictions: ["--locked-kib", "64"], engine: nil),
        Refusal(testDescription: "huge pages", restrictions: ["--no-huge-pages"]),
        Refusal(testDescription: "advice on memory", restrictions: refuse("madvise=EINVAL")),
        Refusal(
            testDescription: "fallocate", restrictions: refuse("fallocate=EOPNOTSUPP"), arguments: ["--engine", "pwrite"],
            engine: "pwrite", zeroesByDevice: false),
        Refusal(
            testDescription: "fallocate, by a filter", restrictions: refuse("fallocate=EPERM"),
            arguments: ["--engine", "pwrite"], engine: "pwrite", zeroesByDevice: false),
        Refusal(
            testDescription: "everything",
            restrictions: refuse("io_uring_setup=EPERM", "fallocate=ENOSYS", "madvise=EINVAL")
                + ["--no-huge-pages", "--locked-kib", "0"],
            engine: "pwrite", says: "io_uring is refused here", zeroesByDevice: false),
    ]

    private func check(_ refusal: Refusal, _ image: SampleImage, onto path: String) throws {
        let ended = try Program.run(
            [image.path, "--disk", path, "--yes", "-v"] + refusal.arguments, events: true, through: refusal.command)
        #expect(ended.code == 0, "\(ended.errors)")
        let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
        let engine = try #require(plan["engine"] as? String)
        if let expected = refusal.engine { #expect(engine == expected) }
        #expect(ended.errors.contains("engine  \(engine)\n"), "\(ended.errors)")
        let warnings = ended.events.filter { $0["event"] as? String == "warning" }.compactMap { $0["message"] as? String }
        // Another engine than the first choice is told, and nothing else is.
        let isFallback = engine == "pwrite" && !refusal.arguments.contains("--engine")
        #expect(warnings.contains { $0.contains(refusal.says ?? "io_uring is refused here") } == isFallback, "\(warnings)")
        let zeroed = try #require(ended.events.last?["zeroedBytes"] as? Int)
        if let zeroes = refusal.zeroesByDevice { #expect((zeroed > 0) == zeroes, "\(zeroed) bytes") }
        #expect(try sha256(of: path) == Self.right.get(), "compared with a run to which nothing is refused")
    }

    /// What the disk holds then, of a run that was compared byte for byte.
    private static let right = Result {
        let image = try SampleImage.make()
        return try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            try #require(try Program.run([image.path, "--disk", path, "--yes", "-q"]).code == 0)
            try image.expectStreamed(to: path, was: was)
            return try sha256(of: path)
        }
    }

    @Test(arguments: refusals) func aFileIsWrittenAllTheSameWhereTheKernelRefuses(refusal: Refusal) throws {
        let image = try SampleImage.make()
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, _ in
            try check(refusal, image, onto: path)
        }
    }

    @Test(
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: refusals.filter { ["nothing", "everything", "to lock any memory"].contains($0.testDescription) })
    func aDiskIsWrittenAllTheSameWhereTheKernelRefuses(refusal: Refusal) throws {
        let image = try SampleImage.make()
        try TestTarget.disk(blockBytes: 512).with(sizeBytes: image.diskBytes) { path, _ in
            try check(refusal, image, onto: path)
        }
    }

    /// Here it is the disk that does not zero: the kernel writes zeros for it, or the run does.
    @Test(.enabled(if: FaultyBlockDevice.isAvailable, FaultyBlockDevice.needs), arguments: ["io_uring", "pwrite"])
    func aDiskThatDoesNotZeroIsWrittenAllTheSame(engine: String) throws {
        let image = try SampleImage.make()
        let was = try RandomFile.atLeast(sizeBytes: image.diskBytes)
        try FaultyBlockDevice.with(
            sizeBytes: image.diskBytes, .script(), fill: { try RandomFile.copy(was, to: $0, sizeBytes: image.diskBytes) }
        ) { disk in
            let refusal = Refusal(
                testDescription: "zeroing", arguments: ["--engine", engine], engine: engine, zeroesByDevice: nil)
            try check(refusal, image, onto: disk.path)
            #expect(try sha256(of: disk.backing) == Self.right.get())
        }
    }

    /// A loop device without partition scan answers EINVAL to BLKRRPART.
    @Test(.enabled(if: LoopDevice.isAvailable, LoopDevice.needs)) func aTableThatIsNotReadAnewIsAWarning() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            let ended = try Program.run([image.path, "--disk", device.path, "--yes"], events: true)
            #expect(ended.code == 0, "\(ended.errors)")
            let warning = "the kernel did not read the new partition table of \(device.path) again (Invalid argument)"
            #expect(ended.errors.contains("warning: " + warning), "\(ended.errors)")
            #expect(ended.events.contains { ($0["message"] as? String)?.hasPrefix(warning) == true })
        }
    }

    @Test(arguments: ["io_uring_setup=EPERM", "io_uring_enter=EPERM", "io_uring_enter=ENOSYS"])
    func anEngineThatWasAskedForAndIsRefusedIsNotReplaced(refused: String) throws {
        let image = try SampleImage.make()
        try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
            let before = try sha256(of: path)
            let ended = try Program.run(
                [image.path, "--disk", path, "--yes", "-q", "--engine", "io_uring"],
                through: [Program.restricted] + Self.refuse(refused))
            let cause = refused.hasSuffix("EPERM") ? "not permitted" : "not implemented"
            expectFailure(ended, 77, says: ["set up io_uring", cause, "Nothing was written"])
            #expect(try sha256(of: path) == before)
        }
    }
}
