import Foundation
import Glibc
import Synchronization
import Testing

extension CommandLineContract {
    /// On a terminal the plan is shown and a yes asked, before anything is written.
    @Suite struct TerminalTests {
        private func withQuestion(
            _ arguments: [String] = [],
            _ body: (_ running: Running, _ terminal: PseudoTerminal, _ image: SampleImage, _ disk: String, _ was: String)
                throws -> Void
        ) throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let terminal = try PseudoTerminal()
                let running = try Running(
                    [image.path, "--disk", disk] + arguments, events: true, terminal: terminal.programSide)
                try body(running, terminal, image, disk, was)
            }
        }

        @Test func yesWrites() throws {
            try withQuestion { running, terminal, image, disk, was in
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                // The plan stands above it.
                for word in [image.path, disk, "root", "esp", "sha384:" + image.manifest.metadataSha384] {
                    #expect(terminal.text.contains(word), "\(word) in: \(terminal.text)")
                }
                terminal.type("yes\n")
                let ended = try running.wait()
                #expect(ended.code == 0, "\(terminal.text)")
                // The live line.
                #expect(terminal.text.contains("\r\u{1b}[K"))
                #expect(terminal.text.contains("100 %"))
                #expect(ended.output.split(separator: "\n").count == 1)
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test(arguments: ["no\n", "\n", "y\n", "yes please\n", "\u{4}"])
        func anythingElseLeavesTheDiskAlone(answer: String) throws {
            try withQuestion { running, terminal, _, disk, _ in
                let before = try sha256(of: disk)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                terminal.type(answer)
                let ended = try running.wait(seconds: 10)
                #expect(ended.code == 130, "\(terminal.text)")
                #expect(ended.output == "")
                #expect(terminal.text.contains("Nothing was written"))
                #expect(ended.phases == ["preflight"])
                #expect(ended.eventNames.last == "error")
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test func aSignalAtTheQuestionLeavesTheDiskAlone() throws {
            try withQuestion { running, terminal, _, disk, _ in
                let before = try sha256(of: disk)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                running.signal(SIGTERM)
                #expect(try running.wait(seconds: 5).code == 143)
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test func withYesNothingIsAsked() throws {
            try withQuestion(["--yes"]) { running, terminal, image, disk, was in
                #expect(try running.wait().code == 0)
                #expect(!terminal.text.contains("Type yes"))
                try image.expectStreamed(to: disk, was: was)
            }
        }
    }
}

/// A pseudo-terminal: what a program under test takes for a person's.
final class PseudoTerminal: Sendable {
    struct Unavailable: Error {}

    /// For the program's standard input and error.
    let programSide: FileHandle
    private let descriptor: Int32
    private let shown = Mutex<[UInt8]>([])

    init() throws {
        descriptor = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var (unlocked, number) = (Int32(0), UInt32(0))
        // ioctl_tty(2): TIOCSPTLCK and TIOCGPTN, whose values do not import.
        guard descriptor >= 0, unsafe ioctl(descriptor, 0x4004_5431, &unlocked) == 0,
            unsafe ioctl(descriptor, 0x8004_5430, &number) == 0
        else { throw Unavailable() }
        programSide = try #require(FileHandle(forUpdatingAtPath: "/dev/pts/\(number)"))
    }

    deinit { close(descriptor) }

    /// All that was shown so far.
    var text: String {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while unsafe poll(&wanted, 1, 0) > 0, wanted.revents & Int16(POLLIN) != 0 {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            shown.withLock { $0 += buffer[..<count] }
        }
        return String(decoding: shown.withLock { $0 }, as: UTF8.self)
    }

    func type(_ keys: String) {
        let bytes = Array(keys.utf8)
        unsafe write(descriptor, bytes, bytes.count)
    }
}
