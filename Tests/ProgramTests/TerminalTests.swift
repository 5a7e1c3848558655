import Foundation
import Glibc
import Synchronization
import Testing

@testable import TestSupport

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
                    [image.path, "--disk", disk] + arguments, events: true, environment: ["TERM": "xterm"],
                    terminal: terminal.programSide)
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

        @Test(arguments: ["no\n", "\n", "y\n", " yes\n", "yes please\n", "\u{4}", "yes\u{4}\u{4}"])
        func anythingElseLeavesTheDiskAlone(answer: String) throws {
            try withQuestion { running, terminal, _, disk, _ in
                let before = try sha256(of: disk)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                terminal.type(answer)
                let ended = try running.wait(seconds: 10)
                #expect(ended.code == 130, "\(terminal.text)")
                #expect(ended.output == "")
                let said = terminal.text
                #expect(said.contains("\nstream-disk: not confirmed; type yes. Nothing was written"), "\(said)")
                #expect(!said.contains("interrupted"))
                #expect((ended.events.last?["message"] as? String)?.hasPrefix("not confirmed; type yes") == true)
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

        @Test("Ctrl-C at the question is an interruption") func interruptAtTheQuestion() throws {
            try withQuestion { running, terminal, _, disk, _ in
                let before = try sha256(of: disk)
                try running.wait(for: "the question") { terminal.text.contains("Type yes: ") }
                running.signal(SIGINT)
                #expect(try running.wait(seconds: 5).code == 130)
                #expect(terminal.text.contains("\nstream-disk: interrupted. Nothing was written"), "\(terminal.text)")
                #expect(!terminal.text.contains("not confirmed"))
                #expect(try sha256(of: disk) == before)
            }
        }

        @Test("A live line stays below the terminal's width, also when that shrinks, and no other line stands behind it")
        func liveLine() throws {
            let image = try SampleImage.make()
            let nginx = try Nginx(.init(limitRate: "1m", extra: "limit_rate_after 1m;"))
            try nginx.serve("image.cosi", image.bytes)
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let terminal = try PseudoTerminal()
                terminal.resize(columns: 120)
                let running = try Running(
                    [nginx.url("image.cosi"), "--disk", disk, "--yes"], environment: ["TERM": "xterm"],
                    terminal: terminal.programSide)
                try running.wait(for: "a time that is left") { terminal.text.contains(" left") }
                terminal.resize(columns: 50)
                usleep(300_000)
                let wide = terminal.text
                #expect(try running.wait().code == 0)
                let narrow = terminal.text.dropFirst(wide.count)
                #expect(wide.contains("/s, ") && wide.contains("fetched ") && wide.contains(" on disk"), "\(wide)")
                for (text, columns) in [(wide[...], 120), (narrow, 50)] {
                    let lines = text.components(separatedBy: "\r\u{1b}[K").dropFirst()
                    #expect(!lines.isEmpty)
                    for line in lines where !line.hasSuffix("\n") { #expect(line.count < columns, "\(line)") }
                }
                // What is no progress begins where the live line was.
                for line in terminal.text.components(separatedBy: "\r\n") where line.contains("] ") {
                    #expect(line.components(separatedBy: "\r\u{1b}[K").last?.contains("] ") == false, "\(line)")
                }
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A terminal that cannot redraw gets plain lines", arguments: ["dumb", ""])
        func plainTerminal(name: String) throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let terminal = try PseudoTerminal()
                let running = try Running(
                    [image.path, "--disk", disk, "--yes"], environment: ["TERM": name], terminal: terminal.programSide)
                #expect(try running.wait().code == 0)
                #expect(!terminal.text.contains("\u{1b}"))
                #expect(!terminal.text.replacing("\r\n", with: "\n").contains("\r"))
                #expect(terminal.text.contains("writing"))
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A terminal that was stopped with Ctrl-S does not stop the run")
        func stoppedTerminal() throws {
            let image = try SampleImage.make()
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let terminal = try PseudoTerminal()
                terminal.type("\u{13}")
                let running = try Running(
                    [image.path, "--disk", disk, "--yes"], events: true, environment: ["TERM": "xterm"],
                    terminal: terminal.programSide)
                let ended = try running.wait(seconds: 20)
                #expect(ended.code == 0)
                #expect(ended.eventNames.last == "completed")
                #expect(terminal.text == "")
                terminal.type("\u{11}")
                try image.expectStreamed(to: disk, was: was)
            }
        }

        @Test("A source that is gone shows as a state of the live line")
        func reconnecting() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes) { request in
                guard let range = request.range, range.lowerBound > 0, range.count > 4096 else { return FaultServer.Answer() }
                return range.lowerBound < 2_000_000 ? FaultServer.Answer().ending(.cut(2_000_000)) : .nothing
            }
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, _ in
                let terminal = try PseudoTerminal()
                let running = try Running(
                    [server.url(), "--disk", disk, "--yes", "--retry-timeout", "3"], environment: ["TERM": "xterm"],
                    terminal: terminal.programSide)
                #expect(try running.wait().code == 69)
                #expect(terminal.text.contains("reconnecting, 0 s of 3 s"), "\(terminal.text)")
                #expect(terminal.text.contains("reconnecting, 1 s of 3 s"), "\(terminal.text)")
                #expect(!terminal.text.contains("retrying"))
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

    func resize(columns: UInt16) {
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        // ioctl_tty(2): TIOCSWINSZ.
        _ = unsafe ioctl(descriptor, 0x5414, &size)
    }

    func type(_ keys: String) {
        let bytes = Array(keys.utf8)
        unsafe write(descriptor, bytes, bytes.count)
    }
}
