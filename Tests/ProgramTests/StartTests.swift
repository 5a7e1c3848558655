import Foundation
import Glibc
import Testing

@testable import TestSupport

/// How the program is started: without descriptors, without /proc or /sys, with bytes for arguments that are no text.
@Suite(.timeLimit(.minutes(10))) struct StartTests {
    /// Closes some of 0 to 2, and becomes the program.
    private static func without(_ closed: Set<Int>) -> [String] {
        let redirections = closed.sorted().map { $0 == 0 ? "0<&-" : "\($0)>&-" }.joined(separator: " ")
        return ["sh", "-c", "exec \"$@\" \(redirections)", "sh"]
    }
    private static let combinations: [Set<Int>] = (0..<8).map { bits in Set((0...2).filter { bits >> $0 & 1 == 1 }) }

    // MARK: Standard descriptors

    @Test("With any of descriptors 0 to 2 closed, not one foreign byte is on the disk", arguments: combinations)
    func closedDescriptors(closed: Set<Int>) throws {
        let image = try SampleImage.make()
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            // On a file nothing but the numbers keeps text from the disk: there is no O_DIRECT for pwrite on tmpfs.
            let ended = try Program.run(
                [image.path, "--disk", path, "--yes", "-v"], through: Self.without(closed))
            #expect(ended.code == 0, "\(ended.errors)")
            try image.expectStreamed(to: path, was: was)
            #expect(ended.errors.isEmpty == closed.contains(2))
        }
    }

    @Test(
        "The same with a disk", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: [[2], [0, 1, 2]] as [Set<Int>])
    func closedDescriptorsAndADisk(closed: Set<Int>) throws {
        let image = try SampleImage.make()
        try TestTarget.disk(blockBytes: 512).with(sizeBytes: image.diskBytes) { path, was in
            let ended = try Program.run([image.path, "--disk", path, "--yes", "-v"], through: Self.without(closed))
            #expect(ended.code == 0, "\(ended.errors)")
            try image.expectStreamed(to: path, was: was)
        }
    }

    @Test("With any of descriptors 0 to 2 closed, the server hears nothing but requests", arguments: combinations)
    func closedDescriptorsAndAServer(closed: Set<Int>) throws {
        let image = try SampleImage.make()
        // Slow enough that something is said while a connection is open.
        let server = try FaultServer(try image.bytes) { _ in .init(trickle: (1 << 20, 0.02)) }
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            let ended = try Program.run([server.url(), "--disk", path, "--yes", "-v"], through: Self.without(closed))
            #expect(ended.code == 0, "\(ended.errors)")
            try image.expectStreamed(to: path, was: was)
        }
        #expect(server.requests.allSatisfy { ["GET", "HEAD"].contains($0.method) && $0.target == "/image.cosi" })
    }

    @Test("Results that nobody can read are an error, and events go to a descriptor of the caller's only")
    func closedOutput() throws {
        let image = try SampleImage.make()
        let ended = try Program.run(["inspect", image.path], through: Self.without([1]))
        expectFailure(ended, 74, says: ["standard output", "Bad file descriptor"])
        for (closed, descriptor) in [([1], 1), ([2], 2), ([], 3), ([], 4), ([], 9)] as [(Set<Int>, Int)] {
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { path in
                let before = try sha256(of: path)
                let ended = try Program.run(
                    [image.path, "--disk", path, "--yes", "--events", "\(descriptor)"], through: Self.without(closed))
                #expect(ended.code == 64, "\(descriptor): \(ended.errors)")
                #expect(try sha256(of: path) == before)
            }
        }
    }

    // MARK: Arguments

    @Test("An argument that is not UTF-8 is refused by name, and no other file is taken for it")
    func argumentsThatAreNotText() throws {
        let image = try SampleImage.make()
        try withTemporaryFolder { folder in
            // What the argument would become, were its bytes replaced.
            let other = folder.appending(path: "caf\u{fffd}.raw").path
            try run("truncate", ["-s", "\(image.diskBytes)", other])
            let before = try sha256(of: other)
            let script = "exec \"$@\" --disk \"$0/$(printf 'caf\\351.raw')\""
            let ended = try Program.run([image.path, "--yes"], through: ["sh", "-c", script, folder.path])
            expectFailure(ended, 64, says: ["argument 4 is not UTF-8", "caf\\xE9.raw"])
            #expect(try sha256(of: other) == before)
        }
    }

    @Test("An argument that is not UTF-8 is an event too, and is not shown where it may hold a secret")
    func secretsThatAreNotText() throws {
        for argument in ["https://user:SECRET\\351@host.example/image", "--header=Authorization: SECRET\\351"] {
            let script = "\"$@\" \"$(printf -- '\(argument)')\""
            let ended = try Program.run(["/none/image", "--yes"], events: true, through: ["sh", "-c", script, "sh"])
            expectFailure(ended, 64, says: ["argument 5 is not UTF-8"])
            #expect(ended.eventNames == ["start", "error"])
            #expect(ended.events.last?["kind"] as? String == "usage")
            #expect(!(ended.errors + "\(ended.events)").contains("SECRET"))
        }
    }

    @Test("An argument in any script is taken as it is")
    func argumentsInOtherScripts() throws {
        let ended = try Program.run(["inspect", "/none/café 日本.cosi"])
        expectFailure(ended, 66, says: ["/none/café 日本.cosi"])
    }

    // MARK: Without /proc and /sys

    private static let isRoot = geteuid() == 0
    private static let needsRoot: Comment = "hiding /proc and /sys needs root: run the tests as root to include this one"
    /// In a mount namespace of its own, an empty folder over this one.
    private static func hiding(_ folder: String) -> [String] {
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none \"$0\" && exec \"$@\"", folder]
    }

    @Test("Without /proc the arguments are there, and a file is written", .enabled(if: isRoot, needsRoot))
    func withoutProc() throws {
        let image = try SampleImage.make()
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            let ended = try Program.run([image.path, "--disk", path, "--yes", "-q"], through: Self.hiding("/proc"))
            #expect(ended.code == 0, "\(ended.errors)")
            try image.expectStreamed(to: path, was: was)
        }
        // Whether a disk is in use cannot be told then.
        let chosen = try Program.run([image.path, "--yes", "-q"], through: Self.hiding("/proc"))
        expectFailure(chosen, 78, says: ["/proc/self/mountinfo cannot be read"])
    }

    @Test(
        "Without /sys the program says that it cannot tell the disks, and not that there are none",
        .enabled(if: isRoot, needsRoot))
    func withoutSys() throws {
        let image = try SampleImage.make()
        for arguments in [["disks"], ["disks", "--json"], [image.path, "--yes", "-q"]] {
            let ended = try Program.run(arguments, through: Self.hiding("/sys"))
            expectFailure(ended, 78, says: ["/sys", "not mounted", "mount -t sysfs"])
        }
        try TestTarget.file.with(sizeBytes: image.diskBytes) { path, was in
            let ended = try Program.run([image.path, "--disk", path, "--yes"], through: Self.hiding("/sys"))
            #expect(ended.code == 0 && ended.errors.contains("/sys: not mounted, so it cannot be told"), "\(ended.errors)")
        }
    }

    @Test("A disk that is named without /sys is refused for that", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func aDiskWithoutSys() throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            let ended = try Program.run(
                [image.path, "--disk", device.path, "--yes", "-q"], through: Self.hiding("/sys"))
            expectFailure(ended, 78, says: ["/sys", "not mounted"])
        }
    }
}
